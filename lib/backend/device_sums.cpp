#include "lib/backend/device_sums.h"

#include <algorithm>
#include <utility>

#include "lib/backend/cuda/nccl.h"
#include "lib/backend/cuda/runtime.h"
#include "lib/backend/ops.h"
#include "lib/core/processes.h"

namespace mtlora::backend {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kLook{100};

EndedSums ended_by(const cuda::NcclFailure& failure) {
  return {failure.what(), true, !failure.is_of_another};
}

cuda::Numbers numbers_of(const at::Tensor& tensor) {
  const at::ScalarType type = tensor.scalar_type();
  TORCH_INTERNAL_ASSERT(is_apart(tensor.device()) && tensor.is_contiguous() &&
                        (type == at::kFloat || type == at::kDouble));
  return {tensor.data_ptr(), tensor.numel(), type == at::kDouble};
}

}  // namespace

DeviceSums::DeviceSums(std::unique_ptr<cuda::Nccl> nccl, std::vector<std::string> others,
                       std::chrono::milliseconds timeout)
    : nccl_(std::move(nccl)), others_(std::move(others)), timeout_(timeout) {
  // of those that seem to have ended, but have not, nothing can be seen
  std::erase_if(others_, has_ended);
  watcher_ = std::thread([this] { watch(); });
}

DeviceSums::~DeviceSums() {
  {
    const std::scoped_lock lock(mutex_);
    is_closing_ = true;
  }
  closing_.notify_all();
  watcher_.join();
}

void DeviceSums::ask(const std::vector<at::Tensor>& tensors) {
  check();
  std::vector<cuda::Numbers> all;
  for (const at::Tensor& t : tensors) all.push_back(numbers_of(t));
  try {
    nccl_->sum(all, cuda::current_stream());
  } catch (const cuda::NcclFailure& failure) {
    end(ended_by(failure));
    check();
  }
}

void DeviceSums::check() const {
  const std::scoped_lock lock(mutex_);
  if (ended_) throw EndedSums(*ended_);
}

// First said, then done: whoever waits for the device finds it said.
void DeviceSums::end(const EndedSums& why) {
  {
    const std::scoped_lock lock(mutex_);
    if (!ended_) ended_ = why;
  }
  nccl_->abandon();
}

bool DeviceSums::sleeps_on() {
  std::unique_lock lock(mutex_);
  closing_.wait_for(lock, kLook, [&] { return is_closing_; });
  return !is_closing_ && !ended_;
}

void DeviceSums::watch() {
  since_ = Clock::now();
  while (sleeps_on())
    if (const auto why = reason()) end(*why);
}

// The processes first: what is asked of a device that waits may itself wait. One that comes to its
// end in peace has seen all others past their last check().
std::optional<EndedSums> DeviceSums::reason() {
  if (std::any_of(others_.begin(), others_.end(), has_ended))
    return EndedSums{"its process has ended", true};
  try {
    return reason_of_device();
  } catch (const cuda::NcclFailure& failure) {
    return ended_by(failure);
  }
}

// A sum is under way while another process has yet to ask for it, or because that never will.
std::optional<EndedSums> DeviceSums::reason_of_device() {
  nccl_->check();
  const int64_t sum = nccl_->under_way();
  if (sum < 0 || std::exchange(looked_at_, sum) != sum) since_ = Clock::now();
  if (Clock::now() - since_ <= timeout_) return {};
  return EndedSums{"the GPUs' sum was not done in that time", false};
}

}  // namespace mtlora::backend
