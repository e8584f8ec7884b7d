#include "lib/generate/cache.h"

#include <algorithm>
#include <utility>

namespace mtlora {

Cache::Cache(const DecoderShape& shape, backend::Packing prompts, int64_t max_steps,
             int64_t max_rows)
    : shape_(shape),
      prompts_(std::move(prompts)),
      max_steps_(max_steps),
      max_rows_(max_rows),
      prompt_kv_(static_cast<size_t>(shape.layers)),
      step_kv_(static_cast<size_t>(shape.layers)) {}

void Cache::next_step(std::vector<int32_t> prompt, const std::vector<int32_t>& parent) {
  TORCH_INTERNAL_ASSERT(steps_ < max_steps_ && static_cast<int64_t>(prompt.size()) <= max_rows_);
  std::vector<int32_t> ancestry(prompt.size() * static_cast<size_t>(max_steps_));
  for (size_t row = 0; row < prompt.size(); ++row) {
    const auto to = ancestry.begin() + static_cast<std::ptrdiff_t>(row) * max_steps_;
    if (steps_ > 0) {
      const auto from = ancestry_.begin() + static_cast<std::ptrdiff_t>(parent[row]) * max_steps_;
      std::copy(from, from + steps_, to);
    }
    to[steps_] = static_cast<int32_t>(row);
  }
  ancestry_ = std::move(ancestry);
  prompt_of_row_ = std::move(prompt);
  device_tables_.reset();
  ++steps_;
}

class AttendPrefill final : public Attend {
 public:
  explicit AttendPrefill(Cache& cache) : cache_(cache) {}
  Tensor operator()(size_t layer, const Tensor& qkv, const backend::CausalShape& shape,
                    const backend::Dropout& dropout) override {
    const int64_t kv = cache_.shape_.kv_width();
    cache_.prompt_kv_[layer] = qkv.narrow(1, qkv.size(1) - kv, kv).contiguous();
    return backend::causal_attention(qkv, cache_.prompts_, shape, dropout);
  }

 private:
  Cache& cache_;
};

class AttendStep final : public Attend {
 public:
  explicit AttendStep(Cache& cache) : cache_(cache) {}
  Tensor operator()(size_t layer, const Tensor& qkv, const backend::CausalShape& shape,
                    const backend::Dropout&) override {
    const int64_t kv = cache_.shape_.kv_width(), rows = qkv.size(0), q = qkv.size(1) - kv;
    Tensor& written = cache_.step_kv_[layer];
    if (!written.defined())
      written = torch::empty({cache_.max_steps_, cache_.max_rows_, kv}, qkv.options());
    written.select(0, cache_.steps_ - 1).narrow(0, 0, rows).copy_(qkv.narrow(1, q, kv));
    backend::DecodeKeys keys{cache_.prompt_kv_[layer],
                             cache_.prompts_.offsets,
                             cache_.prompt_of_row_.data(),
                             written,
                             cache_.ancestry_.data(),
                             cache_.max_steps_,
                             cache_.steps_};
    if (qkv.is_cuda()) {
      Tensor& tables = cache_.device_tables_;
      if (!tables.defined()) tables = backend::decode_tables(keys, rows, qkv.device());
      keys.device_tables = tables;
    }
    return backend::decode_attention(qkv.narrow(1, 0, q).contiguous(), keys, shape);
  }

 private:
  Cache& cache_;
};

std::unique_ptr<Attend> Cache::prefill() {
  return std::make_unique<AttendPrefill>(*this);
}

std::unique_ptr<Attend> Cache::step() {
  return std::make_unique<AttendStep>(*this);
}

}  // namespace mtlora
