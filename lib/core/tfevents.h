// Records of TensorBoard's event files, encoded by hand: they take few fields of three messages.
//
//   file = record …, of which the first names the version
//   record = length u64, masked(crc32c(length)) u32, event, masked(crc32c(event)) u32;
//   little-endian masked(c) = (c >> 15 | c << 17) + 0xa282ead8, modulo 2^32
//
// The record and its mask are TensorFlow's (core/lib/io/record_writer.h, core/lib/hash/crc32c.h),
// the messages Event, SessionLog and Summary (core/util/event.proto, core/framework/summary.proto),
// the encoding is that of Protocol Buffers (protobuf.dev/programming-guides/encoding).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mtlora::tfevents {

/// The CRC with Castagnoli's polynomial 0x1EDC6F41, as RFC 3720 (iSCSI), section 12.1, defines it.
uint32_t crc32c(std::string_view bytes);

struct Scalar {
  std::string tag;   ///< UTF-8; TensorBoard groups curves by what stands before its first "/"
  double value = 0;  ///< stored as a float
};

/// What a file begins with. `wall_time`, here and below: seconds since 1970, UTC.
std::string version_record(double wall_time);
/// A program begins (anew) with `step`: of earlier records none of that step or a later one is
/// shown.
std::string start_record(double wall_time, int64_t step);
/// A point at `step` for each of the scalars.
std::string scalars_record(double wall_time, int64_t step, const std::vector<Scalar>& scalars);

}  // namespace mtlora::tfevents
