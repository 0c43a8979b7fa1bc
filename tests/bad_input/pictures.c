/* Pictures: what is none, what is odd, and what looks odd and must work. */
#include "tests/bad_input/bad_input.h"

#define TRAIN        "train --model model --token '<x>' --init a --steps 1 --images "
#define ONLY(sample) "mkdir in; cp samples/" sample " in/"
#define BACK         "reconstruct --model model "

const BadInput BAD_PICTURES[] = {
    { .input = "Folders of pictures" },
    { .input = "no such folder",
      .command = TRAIN "nowhere",
      .status = 1,
      .says = "nowhere: cannot be opened: No such file or directory" },
    { .input = "no such folder, to evaluate",
      .command = "evaluate --model model --init a --images nowhere",
      .status = 1,
      .says = "nowhere: cannot be opened: No such file or directory" },
    { .input = "an empty folder",
      .make = "mkdir in",
      .command = TRAIN "in",
      .status = 1,
      .says = "in: holds no pictures (.png, .jpg, .jpeg, .bmp)" },
    { .input = "a folder without pictures",
      .make = "mkdir in; echo hello >in/readme.txt",
      .command = TRAIN "in",
      .status = 1,
      .says = "in: holds no pictures (.png, .jpg, .jpeg, .bmp)" },
    { .input = "only hidden pictures",
      .make = "mkdir in; cp samples/rgb.png in/.rgb.png",
      .command = TRAIN "in",
      .status = 1,
      .says = "in: holds no pictures (.png, .jpg, .jpeg, .bmp)" },
    { .input = "a picture in its place",
      .command = TRAIN "pictures/1.png",
      .status = 1,
      .says = "pictures/1.png: is not a folder: give the one that holds the pictures" },
    { .input = "two pictures that are none, two faults",
      .make = "mkdir in; echo a >in/a.png; : >in/b.jpg; cp samples/rgb.png in/c.png",
      .command = TRAIN "in",
      .status = 1,
      .says = "in/a.png: is not a picture (PNG, JPEG and BMP are read)\n"
              "in/b.jpg: is empty, not a picture" },
    { .input = "a folder that is called as a picture is",
      .make = "mkdir -p in/a.png",
      .command = TRAIN "in",
      .status = 1,
      .says = "in/a.png: is a folder, not a file" },
    { .input = "a link that leads nowhere",
      .make = "mkdir in; ln -s nowhere in/a.png",
      .command = TRAIN "in",
      .status = 1,
      .says = "in/a.png: cannot be opened: No such file or directory" },
    { .input = "Files of pictures" },
    { .input = "no such file",
      .command = BACK "nowhere.png x.png",
      .status = 1,
      .says = "nowhere.png: cannot be opened: No such file or directory" },
    { .input = "no such file, for a sheet",
      .command = "sheet --out x.png nowhere.png",
      .status = 1,
      .says = "nowhere.png: cannot be opened: No such file or directory" },
    { .input = "an empty file",
      .make = ": >a.png",
      .command = BACK "a.png x.png",
      .status = 1,
      .says = "a.png: is empty, not a picture" },
    { .input = "a text",
      .make = "echo hello >a.png",
      .command = BACK "a.png x.png",
      .status = 1,
      .says = "a.png: is not a picture (PNG, JPEG and BMP are read)" },
    { .input = "weights",
      .command = BACK "word.safetensors x.png",
      .status = 1,
      .says = "word.safetensors: is not a picture (PNG, JPEG and BMP are read)" },
    { .input = "a GIF",
      .make = "printf 'GIF89a..........' >a.png",
      .command = BACK "a.png x.png",
      .status = 1,
      .says = "a.png: is a GIF file; save it as PNG or JPEG" },
    { .input = "a WebP",
      .make = "printf 'RIFF....WEBPVP8 ' >a.png",
      .command = BACK "a.png x.png",
      .status = 1,
      .says = "a.png: is a WebP file; save it as PNG or JPEG" },
    { .input = "a HEIC of a telephone",
      .make = "printf '....ftypheic....' >a.jpg",
      .command = BACK "a.jpg x.png",
      .status = 1,
      .says = "a.jpg: is a HEIC or AVIF (or a film) file; save it as PNG or JPEG" },
    { .input = "a PNG that is cut off",
      .make = "head -c 300 samples/rgb.png >a.png",
      .command = BACK "a.png x.png",
      .status = 1,
      .says = "a.png: the PNG file is cut off (its end is missing)" },
    { .input = "a PNG with a bit flipped",
      .make = "cp samples/rgb.png a.png; printf x | dd of=a.png bs=1 seek=100 conv=notrunc 2>/dev/null",
      .command = BACK "a.png x.png",
      .status = 1,
      .says = "a.png: the PNG data is damaged (checksum of \"IDAT\" at byte 33)" },
    { .input = "a PNG's first bytes alone",
      .make = "head -c 8 samples/rgb.png >a.png",
      .command = BACK "a.png x.png",
      .status = 1,
      .says = "a.png: the PNG file is cut off (its end is missing)" },
    { .input = "a JPEG that is cut off",
      .make = "head -c 600 samples/grey.jpg | head -c 300 >a.jpg",
      .command = BACK "a.jpg x.png",
      .status = 1,
      .says = "a.jpg: the JPEG file is cut off (its end is missing)" },
    { .input = "a JPEG's first bytes alone",
      .make = "head -c 3 samples/grey.jpg >a.jpg",
      .command = BACK "a.jpg x.png",
      .status = 1,
      .says = "a.jpg: the JPEG file is cut off (its end is missing)" },
    { .input = "a BMP that is cut off",
      .make = "head -c 200 samples/rgb.bmp >a.bmp",
      .command = BACK "a.bmp x.png",
      .status = 1,
      .says = "a.bmp: the BMP file is cut off" },
    { .input = "a PNG that claims 60000 x 60000 pixels",
      .command = BACK "samples/claims_60000.png x.png",
      .status = 1,
      .says = "samples/claims_60000.png: 60000 x 60000 is too large (a side may have 100000 pixels, a "
              "picture 178 million)" },
    { .input = "a PNG that claims more pixels than it has",
      .command = BACK "samples/claims_more.png x.png",
      .status = 1,
      .says = "samples/claims_more.png: the PNG data is damaged, of a kind that is not read, or too large "
              "(not enough pixels)" },
    { .input = "a PNG that claims a long strip",
      .command = BACK "samples/claims_long.png x.png",
      .status = 1,
      .says = "samples/claims_long.png: 200000 x 1 is too large (a side may have 100000 pixels, a picture "
              "178 million)" },
    { .input = "a PNG that claims 60000 x 60000 pixels, to train on",
      .make = ONLY("claims_60000.png"),
      .command = TRAIN "in",
      .status = 1,
      .says = "in/claims_60000.png: 60000 x 60000 is too large (a side may have 100000 pixels, a picture 178 "
              "million)" },
    { .input = "a PNG that claims 60000 x 60000 pixels, on a sheet",
      .command = "sheet --out x.png samples/claims_60000.png",
      .status = 1,
      .says = "samples/claims_60000.png: 60000 x 60000 is too large (a side may have 100000 pixels, a "
              "picture 178 million)" },
    { .input = "Pictures that work" },
    { .input = "1 x 1 pixels",
      .make = ONLY("one.png"),
      .command = TRAIN "in --out run",
      .status = 0,
      .says = "warning: in/one.png: 1 x 1 is smaller than the resolution and is enlarged to 16 x 16",
      .makes = "run/x.safetensors" },
    { .input = "20000 x 10 pixels",
      .make = "mkdir in; { head -c 20000; } </dev/zero >strip; printf 'BM' >in/a.bmp; "
              "printf "
              "'\\000\\000\\000\\000\\000\\000\\000\\000\\066\\000\\000\\000\\050\\000\\000\\000\\040\\116\\0"
              "00\\000\\012"
              "\\000\\000\\000\\001\\000\\030\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\00"
              "0\\000\\000\\000\\000"
              "\\000\\000\\000\\000\\000\\000\\000\\000' >>in/a.bmp; head -c 600000 /dev/zero >>in/a.bmp; rm "
              "strip",
      .command = TRAIN "in --out run",
      .status = 0,
      .says =
          "warning: in/a.bmp: 20000 x 10 is squashed to a square (--center-crop takes its middle instead)\n"
          "warning: in/a.bmp: 20000 x 10 is smaller than the resolution and is enlarged to 16 x 16",
      .makes = "run/x.safetensors" },
    { .input = "a grey PNG",
      .make = ONLY("grey.png"),
      .command = TRAIN "in --out run",
      .status = 0,
      .says =
          "warning: in/grey.png: 13 x 9 is squashed to a square (--center-crop takes its middle instead)\n"
          "warning: in/grey.png: 13 x 9 is smaller than the resolution and is enlarged to 16 x 16",
      .makes = "run/x.safetensors" },
    { .input = "a PNG with transparency",
      .make = ONLY("rgba.png"),
      .command = TRAIN "in --out run",
      .status = 0,
      .says =
          "warning: in/rgba.png: 13 x 9 is squashed to a square (--center-crop takes its middle instead)\n"
          "warning: in/rgba.png: 13 x 9 is smaller than the resolution and is enlarged to 16 x 16",
      .makes = "run/x.safetensors" },
    { .input = "a PNG of 16 bits",
      .make = ONLY("rgb16.png"),
      .command = TRAIN "in --out run",
      .status = 0,
      .says =
          "warning: in/rgb16.png: 13 x 9 is squashed to a square (--center-crop takes its middle instead)\n"
          "warning: in/rgb16.png: 13 x 9 is smaller than the resolution and is enlarged to 16 x 16",
      .makes = "run/x.safetensors" },
    { .input = "a JPEG that EXIF turns",
      .make = ONLY("turned6.jpg"),
      .command = TRAIN "in --out run",
      .status = 0,
      .says =
          "warning: in/turned6.jpg: 16 x 24 is squashed to a square (--center-crop takes its middle instead)",
      .makes = "run/x.safetensors" },
    { .input = "1 x 1 pixels",
      .command = BACK "samples/one.png x.png",
      .status = 0,
      .says = "",
      .makes = "x.png" },
    { .input = "a grey PNG",
      .command = BACK "samples/grey16.png x.png",
      .status = 0,
      .says = "warning: samples/grey16.png: 13 x 9 is squashed to a square (--center-crop takes its middle "
              "instead)",
      .makes = "x.png" },
    { .input = "a PNG with transparency",
      .command = BACK "samples/rgba16.png x.png",
      .status = 0,
      .says = "warning: samples/rgba16.png: 13 x 9 is squashed to a square (--center-crop takes its middle "
              "instead)",
      .makes = "x.png" },
    { .input = "a JPEG that EXIF turns",
      .command = BACK "samples/turned8.jpg x.png",
      .status = 0,
      .says = "warning: samples/turned8.jpg: 16 x 24 is squashed to a square (--center-crop takes its middle "
              "instead)",
      .makes = "x.png" },
    { .input = "all of them",
      .command = "sheet --out x.png samples/one.png samples/grey.png samples/rgba.png samples/rgb16.png "
                 "samples/turned5.jpg",
      .status = 0,
      .says = "",
      .makes = "x.png" },
    { .input = "all of them",
      .make = "rm samples/claims*",
      .command = "evaluate --model model --init a --images samples",
      .status = 0,
      .says =
          "warning: samples/grey.jpg: 24 x 16 is squashed to a square (--center-crop takes its middle "
          "instead)\n"
          "warning: samples/grey.png: 13 x 9 is squashed to a square (--center-crop takes its middle "
          "instead)\n"
          "warning: samples/grey.png: 13 x 9 is smaller than the resolution and is enlarged to 16 x 16\n"
          "warning: samples/grey16.png: 13 x 9 is squashed to a square (--center-crop takes its middle "
          "instead)\n"
          "warning: samples/grey16.png: 13 x 9 is smaller than the resolution and is enlarged to 16 x 16\n"
          "warning: samples/grey_alpha.png: 13 x 9 is squashed to a square (--center-crop takes its middle "
          "instead)\n"
          "warning: samples/grey_alpha.png: 13 x 9 is smaller than the resolution and is enlarged to 16 x "
          "16\n"
          "warning: samples/one.png: 1 x 1 is smaller than the resolution and is enlarged to 16 x 16\n"
          "warning: samples/one_bit.png: 13 x 9 is squashed to a square (--center-crop takes its middle "
          "instead)\n"
          "warning: samples/one_bit.png: 13 x 9 is smaller than the resolution and is enlarged to 16 x 16\n"
          "warning: samples/palette.png: 13 x 9 is squashed to a square (--center-crop takes its middle "
          "instead)\n"
          "warning: samples/palette.png: 13 x 9 is smaller than the resolution and is enlarged to 16 x 16\n"
          "warning: samples/palette_alpha.png: 13 x 9 is squashed to a square (--center-crop takes its "
          "middle instead)\n"
          "warning: samples/palette_alpha.png: 13 x 9 is smaller than the resolution and is enlarged to 16 x "
          "16\n"
          "warning: samples/progressive.jpg: 24 x 16 is squashed to a square (--center-crop takes its middle "
          "instead)\n"
          "warning: samples/rgb.bmp: 13 x 9 is squashed to a square (--center-crop takes its middle "
          "instead)\n"
          "warning: samples/rgb.bmp: 13 x 9 is smaller than the resolution and is enlarged to 16 x 16\n"
          "warning: samples/rgb.png: 13 x 9 is squashed to a square (--center-crop takes its middle "
          "instead)\n"
          "warning: samples/rgb.png: 13 x 9 is smaller than the resolution and is enlarged to 16 x 16\n"
          "warning: samples/rgb16.png: 13 x 9 is squashed to a square (--center-crop takes its middle "
          "instead)\n"
          "warning: samples/rgb16.png: 13 x 9 is smaller than the resolution and is enlarged to 16 x 16\n"
          "warning: samples/rgba.png: 13 x 9 is squashed to a square (--center-crop takes its middle "
          "instead)\n"
          "warning: samples/rgba.png: 13 x 9 is smaller than the resolution and is enlarged to 16 x 16\n"
          "warning: samples/rgba16.png: 13 x 9 is squashed to a square (--center-crop takes its middle "
          "instead)\n"
          "warning: samples/rgba16.png: 13 x 9 is smaller than the resolution and is enlarged to 16 x 16\n"
          "warning: samples/subsampled.jpg: 24 x 16 is squashed to a square (--center-crop takes its middle "
          "instead)\n"
          "warning: samples/turned.png: 9 x 13 is squashed to a square (--center-crop takes its middle "
          "instead)\n"
          "warning: samples/turned.png: 9 x 13 is smaller than the resolution and is enlarged to 16 x 16\n"
          "warning: samples/turned1.jpg: 24 x 16 is squashed to a square (--center-crop takes its middle "
          "instead)\n"
          "warning: samples/turned2.jpg: 24 x 16 is squashed to a square (--center-crop takes its middle "
          "instead)\n"
          "warning: samples/turned3.jpg: 24 x 16 is squashed to a square (--center-crop takes its middle "
          "instead)\n"
          "warning: samples/turned4.jpg: 24 x 16 is squashed to a square (--center-crop takes its middle "
          "instead)\n"
          "warning: samples/turned5.jpg: 16 x 24 is squashed to a square (--center-crop takes its middle "
          "instead)\n"
          "warning: samples/turned6.jpg: 16 x 24 is squashed to a square (--center-crop takes its middle "
          "instead)\n"
          "warning: samples/turned7.jpg: 16 x 24 is squashed to a square (--center-crop takes its middle "
          "instead)\n"
          "warning: samples/turned8.jpg: 16 x 24 is squashed to a square (--center-crop takes its middle "
          "instead)" },
    { 0 },
};
