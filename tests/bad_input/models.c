/* SPDX-License-Identifier: MIT */
/* Paths that are not models, models that are broken, and weights that are not supported. */
#include "tests/bad_input/bad_input.h"

#define UNET                  "model/unet/diffusion_pytorch_model.fp16.safetensors"
#define LOOK                  "inspect model"
#define UNET_SAYS(key, value) "json model/unet/config.json 's/\"" key "\": [^,]*/\"" key "\": " value "/'"
/* Renames a tensor that the model needs. */
#define MISSING "swap " UNET " '\"conv_in.bias\"' '\"conv_in.bais\"'"

const BadInput BAD_MODELS[] = {
    { .input = "Paths that are not a model" },
    { .input = "no such folder",
      .command = "inspect nowhere",
      .status = 1,
      .says = "nowhere: cannot be opened: No such file or directory" },
    { .input = "no such folder",
      .command = "train --model nowhere --images pictures --token '<x>' --init a",
      .status = 1,
      .says = "nowhere: there is no such folder or file" },
    { .input = "no such folder",
      .command = "generate --model nowhere --prompt x",
      .status = 1,
      .says = "nowhere: there is no such folder or file" },
    { .input = "no such folder",
      .command = "evaluate --model nowhere --images pictures --init a",
      .status = 1,
      .says = "nowhere: there is no such folder or file" },
    { .input = "no such folder",
      .command = "plan --model nowhere",
      .status = 1,
      .says = "nowhere: there is no such folder or file" },
    { .input = "no such folder",
      .command = "tokens --model nowhere x",
      .status = 1,
      .says = "nowhere: there is no such folder or file" },
    { .input = "no such folder",
      .command = "reconstruct --model nowhere pictures/1.png x.png",
      .status = 1,
      .says = "nowhere: there is no such folder or file" },
    { .input = "no such folder",
      .command = "inspect word.safetensors --model nowhere",
      .status = 1,
      .says = "nowhere: there is no such folder or file" },
    { .input = "an empty folder",
      .make = "mkdir empty",
      .command = "inspect empty",
      .status = 1,
      .says = "empty: is not a model folder (it has no model_index.json)" },
    { .input = "a folder of pictures",
      .command = "generate --model pictures --prompt x",
      .status = 1,
      .says = "pictures: is not a model folder (it has no model_index.json)" },
    { .input = "a learned word instead of a model",
      .command = "generate --model word.safetensors --prompt x",
      .status = 1,
      .says = "word.safetensors: is a learned word; a whole checkpoint of Stable Diffusion 1.x or 2.x, text "
              "to image, is needed" },
    { .input = "an empty name",
      .command = "generate --model '' --prompt x",
      .status = 2,
      .says = "--model '': must be the name of a file or folder" },
    { .input = "a part's folder is missing",
      .make = "rm -r model/unet",
      .command = LOOK,
      .status = 1,
      .says = "model/unet/config.json: cannot be opened: No such file or directory\n"
              "model/unet: no diffusion_pytorch_model.safetensors" },
    { .input = "a file instead of a part's folder",
      .make = "rm -r model/vae; : >model/vae",
      .command = LOOK,
      .status = 1,
      .says = "model/vae/config.json: cannot be opened: Not a directory\n"
              "model/vae: no diffusion_pytorch_model.safetensors" },
    { .input = "all parts are missing",
      .make = "rm -r model/unet model/vae model/text_encoder model/tokenizer model/scheduler",
      .command = LOOK,
      .status = 1,
      .says = "model/text_encoder/config.json: cannot be opened: No such file or directory\n"
              "model/unet/config.json: cannot be opened: No such file or directory\n"
              "model/vae/config.json: cannot be opened: No such file or directory\n"
              "model/scheduler/scheduler_config.json: cannot be opened: No such file or directory\n"
              "model/tokenizer/tokenizer_config.json: cannot be opened: No such file or directory\n"
              "model/tokenizer/vocab.json: is missing\n"
              "model/tokenizer/merges.txt: is missing\n"
              "model/text_encoder: no model.safetensors\n"
              "model/unet: no diffusion_pytorch_model.safetensors\n"
              "model/vae: no diffusion_pytorch_model.safetensors" },
    { .input = "a part's weights are missing",
      .make = "rm " UNET,
      .command = LOOK,
      .status = 1,
      .says = "model/unet: no diffusion_pytorch_model.safetensors" },
    { .input = "a part's weights are an empty pickle",
      .make = "rm " UNET "; : >model/unet/diffusion_pytorch_model.bin",
      .command = LOOK,
      .status = 1,
      .says = "model/unet/diffusion_pytorch_model.bin: 0 bytes are too few for a safetensors file" },
    { .input = "no vocabulary",
      .make = "rm model/tokenizer/vocab.json",
      .command = LOOK,
      .status = 1,
      .says = "model/tokenizer/vocab.json: is missing" },
    { .input = "model_index.json is a folder",
      .make = "rm model/model_index.json; mkdir model/model_index.json",
      .command = LOOK,
      .status = 1,
      .says = "model/model_index.json: is a folder, not a file" },
    { .input = "Stable Diffusion XL",
      .make = "json model/model_index.json 's/StableDiffusionPipeline/StableDiffusionXLPipeline/'",
      .command = LOOK,
      .status = 1,
      .says = "model/model_index.json: \"_class_name\" is \"StableDiffusionXLPipeline\": only "
              "StableDiffusionPipeline is supported: Stable Diffusion 1.x and 2.x, text to image" },
    { .input = "another text encoder",
      .make = "json model/model_index.json 's/CLIPTextModel/T5EncoderModel/'",
      .command = LOOK,
      .status = 1,
      .says = "model/model_index.json: \"text_encoder\" is [\"transformers\",\"T5EncoderModel\"]: only "
              "CLIPTextModel is supported" },
    { .input = "Weights" },
    { .input = "a missing tensor",
      .make = MISSING,
      .command = LOOK,
      .status = 1,
      .says = "model/unet/diffusion_pytorch_model.fp16.safetensors: no tensor \"conv_in.bias\" [8]",
      .prints = true },
    { .input = "a missing tensor",
      .make = MISSING,
      .command = "train --model model --images pictures --token '<x>' --init a",
      .status = 1,
      .says = "model/unet/diffusion_pytorch_model.fp16.safetensors: no tensor \"conv_in.bias\" [8]" },
    { .input = "a missing tensor",
      .make = MISSING,
      .command = "generate --model model --prompt x",
      .status = 1,
      .says = "model/unet/diffusion_pytorch_model.fp16.safetensors: no tensor \"conv_in.bias\" [8]" },
    { .input = "a missing tensor",
      .make = MISSING,
      .command = "evaluate --model model --images pictures --init a",
      .status = 1,
      .says = "model/unet/diffusion_pytorch_model.fp16.safetensors: no tensor \"conv_in.bias\" [8]" },
    { .input = "a missing tensor",
      .make = MISSING,
      .command = "plan --model model",
      .status = 1,
      .says = "model/unet/diffusion_pytorch_model.fp16.safetensors: no tensor \"conv_in.bias\" [8]" },
    { .input = "a missing tensor",
      .make = MISSING,
      .command = "tokens --model model x",
      .status = 1,
      .says = "model/unet/diffusion_pytorch_model.fp16.safetensors: no tensor \"conv_in.bias\" [8]" },
    { .input = "a missing tensor",
      .make = MISSING,
      .command = "reconstruct --model model pictures/1.png x.png",
      .status = 1,
      .says = "model/unet/diffusion_pytorch_model.fp16.safetensors: no tensor \"conv_in.bias\" [8]" },
    { .input = "a missing tensor",
      .make = MISSING,
      .command = "inspect --model model word.safetensors",
      .status = 1,
      .says = "model/unet/diffusion_pytorch_model.fp16.safetensors: no tensor \"conv_in.bias\" [8]" },
    { .input = "a missing tensor, as JSON",
      .make = MISSING,
      .command = "inspect model --json",
      .status = 1,
      .says = "model/unet/diffusion_pytorch_model.fp16.safetensors: no tensor \"conv_in.bias\" [8]",
      .prints = true },
    { .input = "very many missing tensors",
      .make =
          "swap " UNET " 'down_blocks' 'down_block_'; LC_ALL=C sed -i 's/down_blocks/down_block_/g' " UNET,
      .command = LOOK,
      .status = 1,
      .says = "model/unet/diffusion_pytorch_model.fp16.safetensors: no tensor "
              "\"down_blocks.0.resnets.0.norm1.weight\" [8]\n"
              "model/unet/diffusion_pytorch_model.fp16.safetensors: no tensor "
              "\"down_blocks.0.resnets.0.norm1.bias\" [8]\n"
              "model/unet/diffusion_pytorch_model.fp16.safetensors: no tensor "
              "\"down_blocks.0.resnets.0.conv1.weight\" [8, 8, 3, 3]\n"
              "model/unet/diffusion_pytorch_model.fp16.safetensors: no tensor "
              "\"down_blocks.0.resnets.0.conv1.bias\" [8]\n"
              "model/unet/diffusion_pytorch_model.fp16.safetensors: no tensor "
              "\"down_blocks.0.resnets.0.time_emb_proj.weight\" [8, 32]\n"
              "model/unet/diffusion_pytorch_model.fp16.safetensors: no tensor "
              "\"down_blocks.0.resnets.0.time_emb_proj.bias\" [8]\n"
              "model/unet/diffusion_pytorch_model.fp16.safetensors: no tensor "
              "\"down_blocks.0.resnets.0.norm2.weight\" [8]\n"
              "model/unet/diffusion_pytorch_model.fp16.safetensors: no tensor "
              "\"down_blocks.0.resnets.0.norm2.bias\" [8]\n"
              "model/unet/diffusion_pytorch_model.fp16.safetensors: no tensor "
              "\"down_blocks.0.resnets.0.conv2.weight\" [8, 8, 3, 3]\n"
              "model/unet/diffusion_pytorch_model.fp16.safetensors: no tensor "
              "\"down_blocks.0.resnets.0.conv2.bias\" [8]\n"
              "model/unet/diffusion_pytorch_model.fp16.safetensors: further tensors that are missing or do "
              "not fit are not listed",
      .prints = true },
    { .input = "a tensor of another shape",
      .make = UNET_SAYS("in_channels", "8") "; " UNET_SAYS("out_channels", "8"),
      .command = LOOK,
      .status = 1,
      .says = "model: the UNet's in_channels 8 are not the VAE's latent_channels 4" },
    { .input = "a tensor of a type that cannot be read",
      .make = "swap " UNET " '\"conv_in.bias\":{\"dtype\":\"F16\"' '\"conv_in.bias\":{\"dtype\":\"I16\"'",
      .command = LOOK,
      .status = 1,
      .says = "model/unet/diffusion_pytorch_model.fp16.safetensors: tensor \"conv_in.bias\" is of type I16 "
              "(F32, F16 and BF16 are supported)",
      .prints = true },
    { .input = "a file of weights that is cut off",
      .make = "truncate -s 60000 " UNET,
      .command = LOOK,
      .status = 1,
      .says = "model/unet/diffusion_pytorch_model.fp16.safetensors: tensor "
              "\"down_blocks.0.attentions.1.proj_in.weight\": its data_offsets lie outside the file (is it "
              "truncated?)" },
    { .input = "an empty file of weights",
      .make = ": >" UNET,
      .command = LOOK,
      .status = 1,
      .says =
          "model/unet/diffusion_pytorch_model.fp16.safetensors: 0 bytes are too few for a safetensors file" },
    { .input = "a file of weights that is all zeros",
      .make = "head -c 60000 /dev/zero >" UNET,
      .command = LOOK,
      .status = 1,
      .says =
          "model/unet/diffusion_pytorch_model.fp16.safetensors: is not a safetensors file (its header does "
          "not begin with '{')" },
    { .input = "two parts are broken",
      .make = "truncate -s 60000 " UNET "; : >model/vae/diffusion_pytorch_model.fp16.safetensors",
      .command = LOOK,
      .status = 1,
      .says =
          "model/unet/diffusion_pytorch_model.fp16.safetensors: tensor "
          "\"down_blocks.0.attentions.1.proj_in.weight\": its data_offsets lie outside the file (is it "
          "truncated?)\n"
          "model/vae/diffusion_pytorch_model.fp16.safetensors: 0 bytes are too few for a safetensors file" },
    { .input = "an index without parts",
      .make = "rm " UNET
              "; echo '{\"weight_map\":{}}' >model/unet/diffusion_pytorch_model.safetensors.index.json",
      .command = LOOK,
      .status = 1,
      .says = "model/unet/diffusion_pytorch_model.safetensors.index.json: \"weight_map\" is {}: an object of "
              "tensor names and the file names of parts is needed" },
    { .input = "an index that names a file outside the folder",
      .make = "rm " UNET "; echo '{\"weight_map\":{\"a\":\"../../word.safetensors\"}}' "
              ">model/unet/diffusion_pytorch_model.safetensors.index.json",
      .command = LOOK,
      .status = 1,
      .says = "model/unet/diffusion_pytorch_model.safetensors.index.json: \"weight_map\" is "
              "{\"a\":\"../../word.safetensors\"}: an object of tensor names and the file names of parts is "
              "needed" },
    { .input = "an index with a part that is missing",
      .make = "rm " UNET "; echo '{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}}' "
              ">model/unet/diffusion_pytorch_model.safetensors.index.json",
      .command = LOOK,
      .status = 1,
      .says = "model/unet/one.safetensors: cannot be opened: No such file or directory\n"
              "model/unet/two.safetensors: cannot be opened: No such file or directory" },
    { .input = "Numbers that are not finite" },
    { .input = "a NaN among the UNet's weights",
      .make = "nan " UNET,
      .command = "generate --model model --prompt x",
      .status = 1,
      .says = "the UNet's prediction at step 1 of 51 is not finite: first in up_blocks.2.resnets.2/linear, "
              "whose weight \"up_blocks.2.resnets.2.time_emb_proj.weight\" is not finite" },
    { .input = "a NaN among the UNet's weights",
      .make = "nan " UNET,
      .command = "evaluate --model model --images pictures --init a",
      .status = 1,
      .says = "the loss is not finite: in the UNet, first in up_blocks.2.resnets.2/linear, whose weight "
              "\"up_blocks.2.resnets.2.time_emb_proj.weight\" is not finite" },
    { .input = "a NaN among the UNet's weights",
      .make = "nan " UNET,
      .command = "train --model model --images pictures --token '<x>' --init a --grid-loss 0",
      .status = 1,
      .says =
          "step 0: the loss is not finite: in the UNet, first in up_blocks.2.resnets.2/linear, whose weight "
          "\"up_blocks.2.resnets.2.time_emb_proj.weight\" is not finite",
      .makes = "out/x/options.json" },
    { .input = "a NaN among the VAE's weights",
      .make = "nan model/vae/diffusion_pytorch_model.fp16.safetensors",
      .command = "reconstruct --model model pictures/1.png x.png",
      .status = 1,
      .says =
          "the VAE's output for the picture is not finite: first in encoder.conv_out/conv2d, whose weight "
          "\"quant_conv.weight\" is not finite" },
    { .input = "a NaN among the VAE's weights",
      .make = "nan model/vae/diffusion_pytorch_model.fp16.safetensors",
      .command = "train --model model --images pictures --token '<x>' --init a",
      .status = 1,
      .says = "the VAE's output for a picture is not finite: first in encoder.conv_out/conv2d, whose weight "
              "\"quant_conv.weight\" is not finite",
      .makes = "out/x/options.json" },
    { .input = "a NaN among the text encoder's weights",
      .make = "nan model/text_encoder/model.fp16.safetensors",
      .command = "generate --model model --prompt x",
      .status = 1,
      .says = "the text encoder's output is not finite: first in "
              "final_layer_norm/layer_norm, whose "
              "weight \"text_model.final_layer_norm.weight\" is not finite" },
    { .input = "a word whose numbers are finite but too large (3e38)",
      .make = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24; do printf "
              "'\\346\\261\\141\\177'; done >large; head -c -96 word.safetensors | cat - large "
              ">x.safetensors; rm large",
      .command = "generate --model model --embedding x.safetensors --prompt 'a <w>'",
      .status = 1,
      .says = "the text encoder's output is not finite: first in "
              "encoder.layers.0/layer_norm, where "
              "the numbers grow too large" },
    { 0 },
};
