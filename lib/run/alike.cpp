#include "lib/run/alike.h"

#include "lib/core/error.h"
#include "lib/core/random.h"
#include "lib/run/run_folder.h"
#include "lib/train/world.h"

namespace mtlora {
namespace {

// "from 1 to 2", or "" where all processes have the same number.
std::string spread(World& world, int number) {
  const int most = world.largest(number), least = -world.largest(-number);
  return most == least ? "" : fmt::format("from {} to {}", least, most);
}

bool differs(World& world, int number) {
  return !spread(world, number).empty();
}

bool differs(World& world, const std::string& text) {
  return differs(world, static_cast<int>(name_key(text) >> 33));  // 31 bits
}

}  // namespace

// A batch is cut into as many parts as all processes together have threads, each by itself.
void require_alike(World& world, const Session& s) {
  if (differs(world, s.device.is_cpu() ? 0 : 1))
    fail(
        "some processes compute on a GPU, others on the CPU (this one: {}): give each a GPU, or "
        "set train.device to \"cpu\"",
        s.place());
  if (const std::string counts = spread(world, s.pool->threads()); !counts.empty())
    fail("the processes have {} threads (this one {}): set train.threads, the same for all", counts,
         s.pool->threads());
  if (differs(world, s.dtype == torch::kFloat ? 0 : 1))
    fail("some processes compute in fp32, others in bf16: set train.dtype, the same for all");
}

void require_same_run(World& world, const Session& s, const Json& hashes) {
  const Json identity = identity_of(s.resolved);
  for (const auto& [section, options] : identity.items())
    if (differs(world, options.dump()))
      fail("the processes have different options in \"{}\": this one {}", section, options.dump());
  if (differs(world, s.loaded.fingerprint))
    fail("the processes have different base weights: this one those of {}", s.options.model.path);
  if (differs(world, hashes.dump()))
    fail("the processes have different data: this one {} (hashes of its splits: {})",
         s.resolved["task"].value("data", ""), hashes.dump());
}

}  // namespace mtlora
