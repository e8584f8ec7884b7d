// What a run was asked to do and began from, as far as it tells the run from others that are no
// repetition of it.
#pragma once

#include <string>
#include <vector>

#include "lib/core/json.h"

namespace mtlora {

struct Setting {
  std::string option;    ///< "adapter.method.rank"
  std::string identity;  ///< runs that repeat each other have the same one
  std::string shown;     ///< what a table says
  std::string detail;    ///< what it adds where others look alike and are not: a hash; or ""
};

/// What a run's results say beside its configuration.
struct RunOrigins {
  Json data;           ///< {split: hash}
  std::string base;    ///< fingerprint of the weights; "" where it is not known
  std::string dtype;   ///< that was computed in
  std::string device;  ///< "cpu" or "cuda"
  std::string meteor;  ///< how METEOR was computed where that is not by all its data
};

/// All options of a resolved configuration but the seed, what a run may be resumed with another of,
/// and how often it is saved. Data, base weights and the checkpoint that an adapter starts from are
/// what they hold, wherever they lie; dtype and device are those that were computed with.
std::vector<Setting> settings_of(const Json& config, const RunOrigins& origins);

/// What runs that repeat each other agree in.
std::string key_of(const std::vector<Setting>& settings);

}  // namespace mtlora
