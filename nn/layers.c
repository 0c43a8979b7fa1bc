/* SPDX-License-Identifier: MIT */
#include "nn/layers.h"

#include <stdio.h>

Name name_of(const char *format, ...) {
    Name name;
    va_list args;
    va_start(args, format);
    int length = vsnprintf(name.text, sizeof name.text, format, args);
    va_end(args);
    CHECK(length >= 0 && (size_t)length < sizeof name.text);
    return name;
}

/* which: "weight" or "bias". */
static const Weight *get(Store *s, Shape shape, const char *prefix, const char *name, const char *which) {
    return store_get(s, shape, "%s%s%s.%s", prefix, *prefix ? "." : "", name, which);
}

Layer load_linear(Store *s, const char *prefix, const char *name, int64_t out, int64_t in, bool bias) {
    Shape found = store_shape(s, "%s%s%s.weight", prefix, *prefix ? "." : "", name);
    Shape shape = found.rank == 4 ? shape4(out, in, 1, 1) : shape2(out, in);
    return (Layer) { get(s, shape, prefix, name, "weight"),
                     bias ? get(s, shape1(out), prefix, name, "bias") : NULL };
}

Layer load_conv(Store *s, const char *prefix, const char *name, int64_t out, int64_t in, int kernel) {
    return (Layer) { get(s, shape4(out, in, kernel, kernel), prefix, name, "weight"),
                     get(s, shape1(out), prefix, name, "bias") };
}

Layer load_norm(Store *s, const char *prefix, const char *name, int64_t channels) {
    return (Layer) { get(s, shape1(channels), prefix, name, "weight"),
                     get(s, shape1(channels), prefix, name, "bias") };
}
