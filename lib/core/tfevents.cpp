#include "lib/core/tfevents.h"

#include <bit>

namespace mtlora::tfevents {
namespace {

template <class Unsigned>
void append_fixed(std::string& out, Unsigned number) {
  for (size_t i = 0; i < sizeof(number); ++i)
    out.push_back(static_cast<char>(number >> (8 * i) & 0xFF));
}

// Seven bits a byte, the lowest first; the eighth says that more follow.
void append_varint(std::string& out, uint64_t number) {
  for (; number >= 0x80; number >>= 7) out.push_back(static_cast<char>(number | 0x80));
  out.push_back(static_cast<char>(number));
}

enum class WireType : uint32_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

void append_key(std::string& out, uint32_t field, WireType type) {
  append_varint(out, field << 3 | static_cast<uint32_t>(type));
}

void append_integer(std::string& out, uint32_t field, int64_t value) {
  append_key(out, field, WireType::varint);
  append_varint(out, static_cast<uint64_t>(value));
}

void append_double(std::string& out, uint32_t field, double value) {
  append_key(out, field, WireType::fixed64);
  append_fixed(out, std::bit_cast<uint64_t>(value));
}

void append_float(std::string& out, uint32_t field, float value) {
  append_key(out, field, WireType::fixed32);
  append_fixed(out, std::bit_cast<uint32_t>(value));
}

// A string, or a message.
void append_bytes(std::string& out, uint32_t field, std::string_view bytes) {
  append_key(out, field, WireType::bytes);
  append_varint(out, bytes.size());
  out += bytes;
}

// The numbers of the fields, as the .proto files have them.
namespace event {
constexpr uint32_t kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;
}
namespace session_log {
constexpr uint32_t kStatus = 1;
constexpr int64_t kStart = 1;
}  // namespace session_log
namespace summary {
constexpr uint32_t kValue = 1;
}
namespace summary_value {
constexpr uint32_t kTag = 1, kSimpleValue = 2;
}

std::string summary_of(const std::vector<Scalar>& scalars) {
  std::string all;
  for (const Scalar& scalar : scalars) {
    std::string one;
    append_bytes(one, summary_value::kTag, scalar.tag);
    append_float(one, summary_value::kSimpleValue, static_cast<float>(scalar.value));
    append_bytes(all, summary::kValue, one);
  }
  return all;
}

uint32_t masked_crc(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xa282ead8U;
}

std::string record(std::string_view event) {
  std::string out;
  append_fixed(out, uint64_t{event.size()});
  append_fixed(out, masked_crc(out));
  out += event;
  append_fixed(out, masked_crc(event));
  return out;
}

std::string event_at(double wall_time, int64_t step) {
  std::string out;
  append_double(out, event::kWallTime, wall_time);
  append_integer(out, event::kStep, step);
  return out;
}

}  // namespace

// Bit by bit: a record has some hundred bytes, and there are few.
uint32_t crc32c(std::string_view bytes) {
  constexpr uint32_t kReflectedPolynomial = 0x82F63B78;
  uint32_t crc = ~0U;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? kReflectedPolynomial : 0);
  }
  return ~crc;
}

std::string version_record(double wall_time) {
  std::string out;
  append_double(out, event::kWallTime, wall_time);
  append_bytes(out, event::kFileVersion, "brain.Event:2");
  return record(out);
}

std::string start_record(double wall_time, int64_t step) {
  std::string log;
  append_integer(log, session_log::kStatus, session_log::kStart);
  std::string out = event_at(wall_time, step);
  append_bytes(out, event::kSessionLog, log);
  return record(out);
}

std::string scalars_record(double wall_time, int64_t step, const std::vector<Scalar>& scalars) {
  std::string out = event_at(wall_time, step);
  append_bytes(out, event::kSummary, summary_of(scalars));
  return record(out);
}

}  // namespace mtlora::tfevents
