#include "lib/weights/gguf.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include "lib/core/error.h"
#include "lib/core/gguf.h"
#include "lib/core/gguf_config.h"
#include "lib/weights/dequantize.h"

namespace mtlora {
namespace {

struct Named {
  std::string_view gguf, ours;
};
constexpr std::array kModel{Named{"token_embd", "model.embed_tokens"},
                            Named{"output_norm", "model.norm"}, Named{"output", "lm_head"}};
constexpr std::array kLayer{
    Named{"attn_norm", "input_layernorm"},    Named{"attn_q", "self_attn.q_proj"},
    Named{"attn_k", "self_attn.k_proj"},      Named{"attn_v", "self_attn.v_proj"},
    Named{"attn_output", "self_attn.o_proj"}, Named{"ffn_norm", "post_attention_layernorm"},
    Named{"ffn_gate", "mlp.gate_proj"},       Named{"ffn_up", "mlp.up_proj"},
    Named{"ffn_down", "mlp.down_proj"}};

std::string_view renamed(const auto& table, std::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Named& each) { return each.gguf == name; });
  return found == table.end() ? "" : found->ours;
}

bool is_layer_number(std::string_view text) {
  return !text.empty() && text.size() <= 4 && (text[0] != '0' || text.size() == 1) &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

// "blk.3.attn_q.weight" → "model.layers.3.self_attn.q_proj.weight"; "" for a name that is not
// known.
std::string hugging_face_name(std::string_view name) {
  const size_t dot = name.rfind('.');
  const std::string_view kind = name.substr(std::min(dot, name.size()));
  if (kind != ".weight" && kind != ".bias") return "";
  std::string_view path = name.substr(0, dot);
  if (!path.starts_with("blk.")) {
    const std::string_view ours = renamed(kModel, path);
    return ours.empty() ? "" : fmt::format("{}{}", ours, kind);
  }
  path.remove_prefix(4);
  const size_t end = std::min(path.find('.'), path.size());
  const std::string_view layer = path.substr(0, end);
  const std::string_view ours = renamed(kLayer, path.substr(std::min(end + 1, path.size())));
  if (ours.empty() || !is_layer_number(layer)) return "";
  return fmt::format("model.layers.{}.{}{}", layer, ours, kind);
}

class GgufWeights final : public WeightFile {
 public:
  explicit GgufWeights(const std::filesystem::path& path)
      : WeightFile(path), file_(path), config_(gguf_model_config(file_)) {
    std::vector<TensorInfo> infos;
    Problems problems;
    std::map<std::string_view, std::vector<std::string_view>> of_type;  // that cannot be read
    for (const GgufTensor& tensor : file_.tensors()) {
      if (tensor.name == kRotaryDivisors) continue;
      TensorInfo info{hugging_face_name(tensor.name), at::kFloat, tensor.shape,
                      std::string(tensor.type->name)};
      if (info.name.empty())
        problems.add(fmt::format("{}: tensor \"{}\" belongs to no Llama that is implemented",
                                 path.string(), tensor.name));
      else if (!can_dequantize(*tensor.type))
        of_type[tensor.type->name].push_back(tensor.name);
      else
        check_heads(tensor, info.name);
      infos.push_back(std::move(info));
      weights_.push_back(&tensor);
    }
    for (const auto& [type, names] : of_type)
      problems.add(
          fmt::format("{}: {} of its tensors, \"{}\" the first, {} {}, which is not implemented; "
                      "take or make a file of these types: {}",
                      path.string(), names.size(), names[0], names.size() == 1 ? "is" : "are", type,
                      dequantizable_types()));
    problems.raise();
    set_tensors(std::move(infos));
  }

 private:
  // The heads whose rows llama.cpp reordered; 0 for the other tensors.
  int64_t permuted_heads(std::string_view name) const {
    if (name.find(".q_proj.") != std::string_view::npos) return config_["num_attention_heads"];
    if (name.find(".k_proj.") != std::string_view::npos) return config_["num_key_value_heads"];
    return 0;
  }

  // So that the permutation stays inside of the tensor.
  void check_heads(const GgufTensor& tensor, const std::string& name) const {
    const int64_t heads = permuted_heads(name), head = config_["head_dim"];
    if (heads != 0 && (tensor.shape.front() != heads * head || tensor.shape.size() > 2))
      fail("{}: tensor \"{}\" of shape [{}], expected rows for {} heads of {}", path().string(),
           tensor.name, fmt::join(tensor.shape, ", "), heads, head);
  }

  at::Tensor read_at(size_t index) const override {
    const GgufTensor& tensor = *weights_[index];
    at::Tensor values = at::empty(tensor.shape, at::kFloat);
    float* out = values.data_ptr<float>();
    if (permuted_heads(tensors()[index].name) == 0)
      dequantize(*tensor.type, tensor.bytes, out);
    else if (tensor.shape.size() == 1)
      read_permuted_bias(tensor, out);
    else
      read_permuted(tensor, out);
    return values;
  }

  // Which row of the file is `row` of the model: within a head the file has the halves' rows in
  // turn.
  int64_t source_row(int64_t row) const {
    const int64_t head = config_["head_dim"], half = head / 2, at = row % head;
    return row - at + at % half * 2 + at / half;
  }

  void read_permuted(const GgufTensor& tensor, float* out) const {
    const int64_t rows = tensor.shape[0], in = tensor.shape[1];
    const size_t row_bytes = tensor.bytes.size() / static_cast<size_t>(rows);
    for (int64_t row = 0; row < rows; ++row)
      dequantize(*tensor.type,
                 tensor.bytes.substr(static_cast<size_t>(source_row(row)) * row_bytes, row_bytes),
                 out + row * in);
  }

  // A bias is one row of the file, of which the elements were reordered.
  void read_permuted_bias(const GgufTensor& tensor, float* out) const {
    std::vector<float> plain(static_cast<size_t>(tensor.shape[0]));
    dequantize(*tensor.type, tensor.bytes, plain.data());
    for (int64_t row = 0; row < tensor.shape[0]; ++row)
      out[row] = plain[static_cast<size_t>(source_row(row))];
  }

  GgufFile file_;
  std::vector<const GgufTensor*> weights_;  // of file_, one for each of tensors()
  Json config_;
};

}  // namespace

std::unique_ptr<WeightFile> open_gguf(const std::filesystem::path& file) {
  return std::make_unique<GgufWeights>(file);
}

}  // namespace mtlora
