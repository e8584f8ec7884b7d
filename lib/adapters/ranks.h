// Rank and alpha of low-rank changes: one for all, and others for the layers that patterns name, as
// rank_pattern and alpha_pattern of Hugging Face PEFT. The patterns are those of adapter.targets,
// where PEFT's are regular expressions; as there, the first that fits counts.
#pragma once

#include <vector>

#include "lib/adapters/adapter_set.h"
#include "lib/core/options.h"

namespace mtlora {

/// Of one change, which is scaled by its own alpha / rank.
struct RankAndAlpha {
  int64_t rank;
  double alpha;
  double scale() const { return alpha / static_cast<double>(rank); }
};

/// The options of a method whose layers may have unlike ranks begin with these.
struct RankOptions {
  int64_t rank = 8;
  double alpha = 16.0;
  ByName<int64_t> rank_pattern;
  ByName<double> alpha_pattern;

  void fields(Fields& f);
  /// Those of one adapted part.
  RankAndAlpha of(const AdaptedLayer& layer, const Part& part) const;
  /// Throws Error where a pattern counts for none of the adapted layers.
  void check(const std::vector<AdaptedLayer>& adapted) const;
};

}  // namespace mtlora
