// The kernels of channels as AVX-512 F, BW, DQ and VL compute them: float, and bf16 by emulation.
#if defined(__AVX512F__)
#  include "lib/backend/cpu/channels.h"

namespace mtlora::backend::cpu {

const ChannelKernels<float> float_channels_avx512{scale<float>, sums<float>};
const ChannelKernels<Bf16> bf16_channels_avx512{scale<Bf16>, sums<Bf16>};

}  // namespace mtlora::backend::cpu
#endif
