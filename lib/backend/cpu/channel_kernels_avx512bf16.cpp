// The kernels of channels for bf16 as AVX512_BF16 computes them.
#if defined(__AVX512F__)
#  include "lib/backend/cpu/channels.h"

namespace mtlora::backend::cpu {

const ChannelKernels<Bf16> bf16_channels_avx512bf16{scale<Bf16>, sums<Bf16>};

}  // namespace mtlora::backend::cpu
#endif
