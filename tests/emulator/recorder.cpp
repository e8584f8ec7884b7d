#include "tests/emulator/recorder.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <cstring>
#include <set>
#include <utility>

#include "tests/emulator/block.h"

namespace mtlora::emulator {
namespace {

using at::Tensor;
using torch::jit::Stack;

// A key of LibTorch's dispatcher just above the devices' own that nothing else in this program
// uses.
constexpr c10::DispatchKey kKey = c10::DispatchKey::Fake;

thread_local Recording* recording = nullptr;

std::vector<Tensor> tensors_in(const Stack& values) {
  std::vector<Tensor> found;
  for (const c10::IValue& value : values) {
    if (value.isTensor() && value.toTensor().defined()) found.push_back(value.toTensor());
    if (value.isTensorList())
      for (const Tensor& t : value.toTensorVector()) found.push_back(t);
    if (value.isList())
      for (const c10::IValue& item : value.toListRef())
        if (item.isTensor() && item.toTensor().defined()) found.push_back(item.toTensor());
  }
  return found;
}

/// Operations whose result the CPU has to wait for: a stream that is captured cannot do them.
bool asks_the_device(const std::string& name) {
  static const std::set<std::string> known = {
      "aten::_local_scalar_dense", "aten::equal",    "aten::nonzero",
      "aten::masked_select",       "aten::_unique2", "aten::bincount"};
  return known.contains(name);
}

/// Operations that write nothing: what they give is what the memory holds.
bool is_memory_alone(const std::string& name) {
  return name.starts_with("aten::empty") || name == "aten::new_empty";
}

enum class Kind { makes, writes, views };

Kind kind_of(const c10::FunctionSchema& schema) {
  for (const c10::Argument& a : schema.arguments())
    if (a.alias_info() && a.alias_info()->isWrite()) return Kind::writes;
  for (const c10::Argument& r : schema.returns())
    if (r.alias_info()) return Kind::views;
  return Kind::makes;
}

void call(const c10::OperatorHandle& op, Stack& stack) {
  const c10::impl::ExcludeDispatchKeyGuard not_again(kKey);
  const at::NoGradGuard no_grad;
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  op.callBoxed(stack);
}

void meet_operation(const c10::OperatorHandle& op, c10::DispatchKeySet keys, Stack* stack) {
  TORCH_INTERNAL_ASSERT(recording, "an operation is met that nobody records");
  recording->meet(op, keys, stack);
}

TORCH_LIBRARY_IMPL(_, Fake, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&meet_operation>());
}

}  // namespace

void Recording::note_made(const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs) {
  for (const Tensor& t : inputs) known_.insert(t.storage().unsafeGetStorageImpl());
  for (const Tensor& t : outputs) {
    kept_.push_back(t);
    if (known_.insert(t.storage().unsafeGetStorageImpl()).second) made_.push_back(t);
  }
}

void Recording::meet(const c10::OperatorHandle& op, c10::DispatchKeySet keys, Stack* stack) {
  const std::string& name = op.schema().name();
  TORCH_CHECK(!asks_the_device(name), "operation not permitted when stream is capturing: ", name);
  const size_t count = op.schema().arguments().size();
  const Stack inputs(stack->end() - static_cast<int64_t>(count), stack->end());
  {
    const c10::impl::ExcludeDispatchKeyGuard not_again(kKey);
    op.redispatchBoxed(keys & c10::DispatchKeySet(c10::DispatchKeySet::FULL_AFTER, kKey), stack);
  }
  const Kind kind = kind_of(op.schema());
  const size_t results = op.schema().returns().size();
  const std::vector<Tensor> outputs =
      tensors_in(Stack(stack->end() - static_cast<int64_t>(results), stack->end()));
  note_made(tensors_in(inputs), outputs);
  if (kind == Kind::views || is_memory_alone(name)) return;
  add(name, [op, inputs, outputs, kind] {
    Stack again = inputs;
    call(op, again);
    if (kind == Kind::writes) return;
    const std::vector<Tensor> results = tensors_in(again);
    TORCH_INTERNAL_ASSERT(results.size() == outputs.size());
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < results.size(); ++i) {
      TORCH_CHECK(results[i].sizes() == outputs[i].sizes(), op.schema().name(),
                  " gives another size when it is replayed");
      outputs[i].copy_(results[i]);
    }
  });
}

void Recording::add(const std::string& name, std::function<void()> step) {
  names_.push_back(name);
  steps_.push_back(std::move(step));
}

void Recording::record(const std::function<void()>& work) {
  recording = this;
  set_watch([this](dim3 grid, int threads, size_t shared, const std::function<void()>& kernel) {
    add("grid", [=] { run_grid(grid, threads, shared, kernel); });
  });
  const auto end = [] {
    set_watch({});
    recording = nullptr;
  };
  try {
    const c10::impl::IncludeDispatchKeyGuard met(kKey);
    work();
  } catch (...) {
    end();
    *this = {};
    throw;
  }
  end();
  spoil();
}

void Recording::replay() const {
  for (const auto& step : steps_) step();
}

void Recording::spoil() const {
  for (const Tensor& t : made_) std::memset(t.storage().mutable_data(), 0xff, t.storage().nbytes());
}

}  // namespace mtlora::emulator
