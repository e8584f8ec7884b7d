#include "lib/core/gguf_config.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>

#include "lib/core/error.h"
#include "lib/core/llama3_scaling.h"

namespace mtlora {
namespace {

// The metadata of one architecture, its keys without the prefix "llama.".
class Metadata {
 public:
  explicit Metadata(const GgufFile& file) : file_(file) {}

  bool has(const char* key) const { return file_.has(full(key)); }
  int64_t count(const char* key) const {
    const int64_t value = file_.integer(full(key));
    // Far beyond any model; products of two of them stay in range.
    constexpr int64_t kLargest = 1 << 30;
    if (value < 1 || value > kLargest)
      refuse("metadata \"{}\": {} is not in 1 … {}", full(key), value, kLargest);
    return value;
  }
  int64_t count_or(const char* key, int64_t otherwise) const {
    return has(key) ? count(key) : otherwise;
  }
  double number(const char* key) const {
    const double value = file_.number(full(key));
    if (!(value > 0 && value < 1e30))
      refuse("metadata \"{}\": {} is not a positive number", full(key), value);
    return value;
  }
  double number_or(const char* key, double otherwise) const {
    return has(key) ? number(key) : otherwise;
  }
  std::string text_or(const char* key, const char* otherwise) const {
    return has(key) ? std::string(file_.text(full(key))) : otherwise;
  }

  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    fail("{}: {}", file_.path().string(), fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  static std::string full(const char* key) { return std::string("llama.") + key; }
  const GgufFile& file_;
};

const GgufTensor* find(const GgufFile& file, std::string_view name) {
  const auto& tensors = file.tensors();
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const GgufTensor& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

// Whether a layer's parts have biases: of the parts of all layers, all or none, as a config.json
// has one flag for them.
bool have_biases(const GgufFile& file, const std::vector<std::string>& parts) {
  std::vector<std::string> with, without;
  for (const std::string& part : parts) {
    const std::string ending = "." + part + ".bias";
    const bool has = std::any_of(file.tensors().begin(), file.tensors().end(),
                                 [&](const GgufTensor& t) { return t.name.ends_with(ending); });
    (has ? with : without).push_back(part);
  }
  if (!with.empty() && !without.empty())
    fail("{}: has biases on {}, but none on {}: only all of them, or none, are implemented",
         file.path().string(), fmt::join(with, ", "), fmt::join(without, ", "));
  return !with.empty();
}

void check_variant(const GgufFile& file, const Metadata& llama) {
  const std::string_view architecture = file.text("general.architecture");
  if (architecture != "llama")
    llama.refuse("the architecture \"{}\" is not implemented (only llama)", architecture);
  if (llama.has("expert_count") && file.integer("llama.expert_count") != 0)
    llama.refuse("a mixture of experts (llama.expert_count) is not implemented");
  if (llama.has("attention.causal") && !file.boolean("llama.attention.causal"))
    llama.refuse(
        "attention to what comes after a token (llama.attention.causal) is not implemented");
  if (file.has("split.count") && file.integer("split.count") > 1)
    llama.refuse(
        "one of {} files of a split model, which is not implemented; join them with "
        "llama-gguf-split --merge",
        file.integer("split.count"));
}

int64_t head_width(const Metadata& llama, int64_t width, int64_t heads) {
  if (!llama.has("attention.key_length") && width % heads != 0)
    llama.refuse("a width of {} cannot be split into {} heads", width, heads);
  const int64_t head = llama.count_or("attention.key_length", width / heads);
  for (const char* key : {"attention.value_length", "rope.dimension_count"})
    if (const int64_t other = llama.count_or(key, head); other != head)
      llama.refuse("metadata \"llama.{}\" is {}, but a head has {} elements: not implemented", key,
                   other, head);
  if (head % 2 != 0) llama.refuse("rotary embeddings need heads of an even width, not {}", head);
  return head;
}

// A layer's tensors behind the last layer would be left out.
void check_layers(const GgufFile& file, const Metadata& llama) {
  const int64_t layers = llama.count("block_count");
  for (const GgufTensor& tensor : file.tensors()) {
    int64_t layer = -1;
    const std::string_view name = tensor.name;
    if (name.starts_with("blk."))
      std::from_chars(name.data() + 4, name.data() + name.size(), layer);
    if (layer >= layers)
      llama.refuse("tensor \"{}\" is of a layer that \"llama.block_count\", {}, leaves out", name,
                   layers);
  }
}

void check_tokens(const GgufFile& file, const Metadata& llama, int64_t rows) {
  constexpr const char* kTokens = "tokenizer.ggml.tokens";
  if (!file.has(kTokens)) return;
  if (const auto tokens = std::ssize(file.texts(kTokens)); tokens != rows)
    llama.refuse("has {} tokens (\"{}\"), but embeddings of {}", tokens, kTokens, rows);
}

int64_t vocabulary_size(const GgufFile& file, const Metadata& llama) {
  const GgufTensor* table = find(file, "token_embd.weight");
  if (!table) return llama.count("vocab_size");
  const int64_t rows = table->shape.front();
  if (const int64_t said = llama.count_or("vocab_size", rows); said != rows)
    llama.refuse("\"llama.vocab_size\" is {}, but \"token_embd.weight\" has {} rows", said, rows);
  return rows;
}

std::vector<double> floats(const GgufTensor& tensor, const Metadata& llama) {
  if (tensor.type->name != "F32")
    llama.refuse("tensor \"{}\": F32 is wanted, not {}", tensor.name, tensor.type->name);
  std::vector<float> values(tensor.bytes.size() / sizeof(float));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return {values.begin(), values.end()};
}

// llama.cpp writes what each rotary frequency is divided by; which numbers of a config.json made
// it, it does not. All of Meta's have those of Llama3Scaling, but for the factor.
Json llama3_scaling(const std::vector<double>& divisors, double base, int64_t head,
                    const Metadata& llama) {
  if (static_cast<int64_t>(divisors.size()) != head / 2)
    llama.refuse("tensor \"{}\" has {} numbers, but a head has {} frequencies", kRotaryDivisors,
                 divisors.size(), head / 2);
  const Llama3Scaling scaling{.factor = divisors.back()};
  if (!(scaling.factor >= 1))
    llama.refuse("tensor \"{}\" ends with {}, which stretches nothing", kRotaryDivisors,
                 scaling.factor);
  for (size_t i = 0; i < divisors.size(); ++i) {
    const double plain = std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(head));
    const double wanted = plain / scaled_frequency(plain, scaling);
    // The file's were computed in fp32, from powers in fp32.
    if (!(std::abs(divisors[i] - wanted) <= 1e-4 * wanted))
      llama.refuse(
          "tensor \"{}\": its number {} is {}, Llama 3.1's rotary scaling by {} makes it {}; other "
          "scalings are not implemented",
          kRotaryDivisors, i, divisors[i], scaling.factor, wanted);
  }
  return {{"rope_type", "llama3"},
          {"factor", scaling.factor},
          {"low_freq_factor", scaling.low_frequency_factor},
          {"high_freq_factor", scaling.high_frequency_factor},
          {"original_max_position_embeddings", static_cast<int64_t>(scaling.original_positions)}};
}

Json metadata_scaling(const Metadata& llama) {
  const bool is_old = llama.has("rope.scale_linear");
  const std::string type = llama.text_or("rope.scaling.type", is_old ? "linear" : "none");
  if (type == "none") return nullptr;
  const double factor = llama.number(is_old ? "rope.scale_linear" : "rope.scaling.factor");
  if (type == "linear") return {{"rope_type", "linear"}, {"factor", factor}};
  llama.refuse("the rotary scaling \"{}\" is not implemented (only linear)", type);
}

Json rope_scaling(const GgufFile& file, const Metadata& llama, double base, int64_t head) {
  const Json said = metadata_scaling(llama);
  const GgufTensor* divisors = find(file, kRotaryDivisors);
  if (!divisors) return said;
  if (!said.is_null())
    llama.refuse("the metadata's rotary scaling and the tensor \"{}\" together are not implemented",
                 kRotaryDivisors);
  return llama3_scaling(floats(*divisors, llama), base, head, llama);
}

// An id of a special token, null where there is none.
Json token_id(const GgufFile& file, const char* role) {
  const std::string key = fmt::format("tokenizer.ggml.{}_token_id", role);
  return file.has(key) ? Json(file.integer(key)) : Json();
}

// The ends of a text: of all, and of a turn where that is another.
Json end_ids(const GgufFile& file) {
  const Json end = token_id(file, "eos"), of_turn = token_id(file, "eot");
  if (of_turn.is_null() || of_turn == end) return end;
  return end.is_null() ? of_turn : Json{end, of_turn};
}

}  // namespace

Json gguf_model_config(const GgufFile& file) {
  const Metadata llama(file);
  check_variant(file, llama);
  const int64_t width = llama.count("embedding_length"),
                heads = llama.count("attention.head_count");
  const int64_t key_heads = llama.count_or("attention.head_count_kv", heads);
  if (heads % key_heads != 0)
    llama.refuse("{} heads cannot share {} key-value heads", heads, key_heads);
  const int64_t head = head_width(llama, width, heads);
  const double base = llama.number_or("rope.freq_base", 10000);
  const int64_t vocabulary = vocabulary_size(file, llama);
  check_tokens(file, llama, vocabulary);
  check_layers(file, llama);
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"vocab_size", vocabulary},
          {"hidden_size", width},
          {"intermediate_size", llama.count("feed_forward_length")},
          {"num_hidden_layers", llama.count("block_count")},
          {"num_attention_heads", heads},
          {"num_key_value_heads", key_heads},
          {"head_dim", head},
          {"max_position_embeddings", llama.count("context_length")},
          {"hidden_act", "silu"},
          {"rms_norm_eps", llama.number("attention.layer_norm_rms_epsilon")},
          {"rope_theta", base},
          {"rope_scaling", rope_scaling(file, llama, base, head)},
          {"attention_bias", have_biases(file, {"attn_q", "attn_k", "attn_v", "attn_output"})},
          {"mlp_bias", have_biases(file, {"ffn_gate", "ffn_up", "ffn_down"})},
          {"tie_word_embeddings", find(file, "output.weight") == nullptr},
          {"bos_token_id", token_id(file, "bos")},
          {"eos_token_id", end_ids(file)},
          {"pad_token_id", token_id(file, "padding")}};
}

Json gguf_model_config(const std::filesystem::path& file) {
  return gguf_model_config(GgufFile(file));
}

bool is_gguf(const std::filesystem::path& path) {
  if (!std::filesystem::is_regular_file(path)) return false;
  std::ifstream in(path, std::ios::binary);
  char magic[4] = {};
  in.read(magic, sizeof magic);
  return in.gcount() == sizeof magic && std::string_view(magic, sizeof magic) == "GGUF";
}

std::vector<std::filesystem::path> gguf_files(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> found;
  if (!std::filesystem::is_directory(folder)) return found;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".gguf") found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

std::string choice_of_gguf(const std::vector<std::filesystem::path>& files) {
  std::vector<std::string> names;
  for (const auto& file : files) names.push_back(file.filename().string());
  return fmt::format("{} GGUF files: {}; name one of them", files.size(), fmt::join(names, ", "));
}

std::filesystem::path model_place(const std::filesystem::path& path) {
  const auto files = gguf_files(path);
  const bool is_other = files.size() != 1 || std::filesystem::exists(path / "config.json");
  return is_other ? path : files.front();
}

}  // namespace mtlora
