/* SPDX-License-Identifier: MIT */
/* Bad input for the scores of `ti evaluate`: CLIPs of other families, broken ones, and options that do not
   fit. */
#include "tests/bad_input/bad_input.h"

#define SCORE "evaluate --images pictures --pictures pictures --clip clip"

const BadInput BAD_SCORES[] = {
    { .input = "Scores in CLIP's space" },
    { .input = "no such CLIP",
      .command = "evaluate --model model --images pictures --init a --clip nowhere",
      .status = 1,
      .says = "nowhere: has no config.json: is no folder with a CLIP in transformers' layout (OpenCLIP has "
              "another "
              "one)" },
    { .input = "a CLIP in OpenCLIP's own layout",
      .make = "mv clip/config.json clip/open_clip_config.json",
      .command = SCORE,
      .status = 1,
      .says = "clip: has no config.json: is no folder with a CLIP in transformers' layout (OpenCLIP has "
              "another one)" },
    { .input = "a config of OpenCLIP",
      .make = "rm clip/config.json; echo '{\"model_cfg\": {\"embed_dim\": 512}}' >clip/config.json",
      .command = SCORE,
      .status = 1,
      .says = "clip/config.json: \"model_type\" is missing: only \"clip\" is supported, a CLIP in "
              "transformers' layout "
              "(CLIPModel), and no SigLIP or OpenCLIP's own layout" },
    { .input = "a SigLIP",
      .make = "json clip/config.json 's/\"model_type\": \"clip\"/\"model_type\": \"siglip\"/'",
      .command = SCORE,
      .status = 1,
      .says = "clip/config.json: \"model_type\" is \"siglip\": only \"clip\" is supported, a CLIP in "
              "transformers' "
              "layout (CLIPModel), and no SigLIP or OpenCLIP's own layout" },
    { .input = "a CLIP without the config of its preprocessor",
      .make = "rm clip/preprocessor_config.json",
      .command = SCORE,
      .status = 1,
      .says = "clip/preprocessor_config.json: cannot be opened: No such file or directory" },
    { .input = "a preprocessor that crops to another size",
      .make = "json clip/preprocessor_config.json 's/\"width\": 64/\"width\": 32/'",
      .command = SCORE,
      .status = 1,
      .says = "clip/preprocessor_config.json: \"crop_size\" is 32 x 64, but the image_size of the picture "
              "encoder is "
              "64" },
    { .input = "a preprocessor that resizes with another filter",
      .make = "json clip/preprocessor_config.json 's/\"resample\": 3/\"resample\": 2/'",
      .command = SCORE,
      .status = 1,
      .says = "clip/preprocessor_config.json: \"resample\" is 2: only 3 is supported" },
    { .input = "a CLIP without its vocabulary",
      .make = "rm clip/vocab.json",
      .command = SCORE,
      .status = 1,
      .says = "clip/vocab.json: is missing" },
    { .input = "a CLIP without its weights",
      .make = "rm clip/model.safetensors",
      .command = SCORE,
      .status = 1,
      .says = "clip: no model.safetensors" },
    { .input = "a CLIP with other shapes than its config says",
      .make = "json clip/config.json 's/\"projection_dim\": 128/\"projection_dim\": 64/'",
      .command = SCORE,
      .status = 1,
      .says = "clip/model.safetensors: tensor \"visual_projection.weight\" has the shape [128, 128], but the "
              "config "
              "says [64, 128]\n"
              "clip/model.safetensors: tensor \"text_projection.weight\" has the shape [128, 128], but the "
              "config says "
              "[64, 128]" },
    { .input = "a NaN in CLIP's weights",
      .make = "cp clip/model.safetensors x; mv -f x clip/model.safetensors; nan clip/model.safetensors",
      .command = SCORE,
      .status = 1,
      .says = "CLIP's feature of a picture is not finite: first in visual_projection/linear, whose weight "
              "\"visual_projection.weight\" is not finite" },
    { .input = "a picture that is too long and narrow for CLIP",
      .make = "mkdir long; { printf "
              "'BM\\166\\037\\0\\0\\0\\0\\0\\0\\066\\0\\0\\0\\050\\0\\0\\0\\001\\0\\0\\0\\320\\007"
              "\\0\\0\\001\\0\\030\\0\\0\\0\\0\\0\\100\\037\\0\\0'; head -c 8016 /dev/zero; } >long/a.bmp",
      .command = "evaluate --images pictures --pictures long --clip clip",
      .status = 1,
      .says = "long/a.bmp: 1 x 2000 is too long and narrow for CLIP" },
    { .input = "a damaged picture to score",
      .make = "mkdir bad; head -c 200 pictures/1.png >bad/a.png",
      .command = "evaluate --images pictures --pictures bad --clip clip",
      .status = 1,
      .says = "bad/a.png: *" },
    { .input = "a text that is too long for CLIP",
      .command = SCORE
      " --text 'a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h i j k l m n o p'",
      .says = "warning: the prompt \"a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h i j "
              "k l m n o "
              "p\" has * tokens; the last * do not fit and are ignored" },
    { .input = "pictures and a word to score",
      .command = SCORE " --init a",
      .status = 2,
      .says =
          "--pictures: scores pictures instead of words; leave out --embedding, --checkpoints and --init" },
    { .input = "a text without pictures",
      .command = "evaluate --images pictures --init a --text a",
      .status = 2,
      .says = "--text: belongs to --pictures" },
    { .input = "pictures to score without a CLIP",
      .command = "evaluate --images pictures --pictures pictures --clip none",
      .status = 1,
      .says = "--pictures: needs a CLIP to score with (--clip FOLDER)" },
    { .input = "a prompt of the evaluation without the place of the word",
      .command = "evaluate --images pictures --init a --prompt 'a photo'",
      .status = 2,
      .says = "--prompt 'a photo': must have {} once, in the place of the word" },
    { .input = "a prompt with two places of the word",
      .command = "evaluate --images pictures --init a --prompt '{} and {}'",
      .status = 2,
      .says = "--prompt '{} and {}': must have {} once, in the place of the word" },
    { .input = "a plot where there is something already",
      .make = "echo x >x.png",
      .command = "evaluate --images pictures --init a --plot x.png",
      .status = 1,
      .says = "x.png: exists already (--force replaces it)" },
    { .input = "a plot of a kind that cannot be written",
      .command = "evaluate --images pictures --init a --plot x.gif",
      .status = 2,
      .says = "--plot x.gif: a picture cannot be written as '.gif': its name must end in .png, .jpg or "
              ".jpeg, or have "
              "no ending, which gives a .png" },
    { .input = "a plot without a CLIP",
      .command = "evaluate --model model --images pictures --init a --plot x.png",
      .status = 1,
      .says = "--plot: needs a CLIP with a text encoder (--clip FOLDER)" },
    { .input = "a plot of pictures",
      .command = SCORE " --plot x.png",
      .status = 2,
      .says = "--plot: shows words, and --pictures scores none" },
    { .input = "more pictures to keep than are drawn",
      .command = "generate --model model --prompt x --count 4 --keep 5",
      .status = 2,
      .says = "--keep 5: only 4 are drawn (--count)" },
    { .input = "the best of a single picture of several",
      .command = "generate --model model --prompt x --count 4 --picture 2 --keep 1",
      .status = 2,
      .says = "--keep: chooses among all pictures, and --picture draws one of them" },
    { .input = "pictures to be alike to, but nothing to choose",
      .command = "generate --model model --prompt x --count 4 --images pictures",
      .status = 2,
      .says = "--images: belongs to --keep" },
    { .input = "the best pictures without a CLIP",
      .command = "generate --model model --prompt x --count 2 --keep 1",
      .status = 1,
      .says = "--keep: needs a CLIP to score with (--clip FOLDER)" },
    { .input = "a CLIP that does not exist, for the best pictures",
      .command = "generate --model model --prompt x --count 2 --keep 1 --clip nowhere",
      .status = 1,
      .says = "nowhere: has no config.json: is no folder with a CLIP in transformers' layout (OpenCLIP has "
              "another "
              "one)" },
    { .input = "a model's prompt of the evaluation without the place of the word",
      .make = "mv clip model/; echo '{\"evaluate\": {\"prompt\": [\"a photo\"]}}' >model/defaults.json",
      .command = "evaluate --model model --images pictures --init a",
      .status = 1,
      .says = "--prompt 'a photo': must have {} once, in the place of the word" },
    { .input = "a folder without checkpoints",
      .command = "evaluate --model model --images pictures --checkpoints pictures",
      .status = 1,
      .says = "pictures: is not the folder of a run with checkpoints (ti train --checkpoint-every)" },
    { 0 },
};
