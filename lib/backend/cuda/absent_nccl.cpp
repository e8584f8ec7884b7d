// A build without NCCL: nothing here but the first is ever called.
#include <cstdlib>

#include "lib/backend/cuda/nccl.h"

namespace mtlora::backend::cuda {

struct Nccl::State {};

bool Nccl::is_built() {
  return false;
}
std::string Nccl::device() {
  std::abort();
}
std::string Nccl::invitation() {
  std::abort();
}
Nccl::Nccl(const std::string&, int, int, int) : state_(nullptr) {
  std::abort();
}
Nccl::~Nccl() = default;
void Nccl::sum(std::span<const Numbers>, Stream) {
  std::abort();
}
int64_t Nccl::under_way() {
  std::abort();
}
void Nccl::check() {
  std::abort();
}
void Nccl::abandon() {
  std::abort();
}

}  // namespace mtlora::backend::cuda
