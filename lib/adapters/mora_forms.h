// What MoRA does around its square matrix: x [tokens, in] is brought to the matrix's width, and
// what comes out to the layer's width, without any trained number.
// Jiang et al. 2024, arXiv:2405.12130, section 4.2; numbers as the authors' code kongds/MoRA.
#pragma once

#include <torch/types.h>

namespace mtlora {

using torch::Tensor;

/// The width r̂ = ⌊√((in + out) · rank) + ½⌋ of the square matrix, which has about as many numbers
/// as LoRA's two of this rank; even where halves are rotated against each other.
int64_t mora_width(int64_t in, int64_t out, int64_t rank, bool is_even);

/// x [tokens, in] -> [tokens, n · width], n = ⌈in / width⌉: x goes on with its own first entries.
Tensor padded_circularly(const Tensor& x, int64_t width);

/// Entry c is the sum of the entries c, c + width, … of x padded circularly. -> [tokens, width]
Tensor gather_shared(const Tensor& x, int64_t width);
/// The sums of `width` neighbouring groups of ⌊in / width⌋ entries, the first in mod width of them
/// one larger. -> [tokens, width]
Tensor gather_grouped(const Tensor& x, int64_t width);

/// v [tokens, width] repeated as a whole up to `out` entries. -> [tokens, out]
Tensor spread_shared(const Tensor& v, int64_t out);
/// Each entry repeated beside itself, by the groups of gather_grouped() of `out`. -> [tokens, out]
Tensor spread_grouped(const Tensor& v, int64_t out);

/// "Sharing", type 1: y = spread_shared(m · gather_shared(x)). m [width, width]; -> [tokens, out]
Tensor mora_sharing(const Tensor& x, const Tensor& m, int64_t out);
/// "Rotation", type 6: block k of x padded circularly is rotated, its entries c and c + width / 2
/// by the angle k · 10000^(-2c / width), and multiplied by m; the blocks one after another are
/// repeated up to `out` entries. m [width, width], width even; -> [tokens, out]
Tensor mora_rotation(const Tensor& x, const Tensor& m, int64_t out);
/// Types 1 to 4 together: m [2 · width, 2 · width] takes (shared | grouped) sums to entries that
/// are spread (shared | grouped). -> [tokens, out]
Tensor mora_both_ways(const Tensor& x, const Tensor& m, int64_t out);

}  // namespace mtlora
