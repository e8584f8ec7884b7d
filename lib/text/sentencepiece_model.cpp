#include "lib/text/sentencepiece_model.h"

#include <bit>
#include <string_view>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/text/unicode.h"

namespace mtlora {
namespace {

uint64_t take_varint(std::string_view& bytes) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (bytes.empty()) fail("it is cut off");
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  fail("a number has more than 64 bits");
}

std::string_view take(std::string_view& bytes, uint64_t size) {
  if (size > bytes.size()) fail("it is cut off");
  const std::string_view taken = bytes.substr(0, size);
  bytes.remove_prefix(size);
  return taken;
}

uint64_t little_endian(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i > 0; --i)
    value = value << 8 | static_cast<unsigned char>(bytes[i - 1]);
  return value;
}

struct Field {
  uint64_t number = 0;
  uint64_t value = 0;      // of a number
  std::string_view bytes;  // of a text or message
};

template <class Use>
void for_each_field(std::string_view message, const Use& use) {
  while (!message.empty()) {
    const uint64_t key = take_varint(message);
    Field field{.number = key >> 3, .value = 0, .bytes = {}};
    switch (key & 7) {
      case 0:
        field.value = take_varint(message);
        break;
      case 1:
        field.value = little_endian(take(message, 8));
        break;
      case 2:
        field.bytes = take(message, take_varint(message));
        break;
      case 5:
        field.value = little_endian(take(message, 4));
        break;
      default:
        fail("a field has the wire type {}", key & 7);
    }
    use(field);
  }
}

SentencePieceModel::Piece read_piece(std::string_view message) {
  SentencePieceModel::Piece piece;
  for_each_field(message, [&](const Field& field) {
    if (field.number == 1) piece.text = field.bytes;
    if (field.number == 2) piece.score = std::bit_cast<float>(static_cast<uint32_t>(field.value));
    if (field.number == 3) piece.type = field.value;
  });
  if (invalid_utf8(piece.text)) fail("a piece is not UTF-8");
  return piece;
}

void read_trainer(std::string_view message, SentencePieceModel& model) {
  for_each_field(message, [&](const Field& field) {
    if (field.number == 3) model.algorithm = field.value;
    if (field.number == 35) model.byte_fallback = field.value != 0;
    if (field.number == 40) model.unknown = static_cast<int32_t>(field.value);
  });
}

void read_normalizer_spec(std::string_view message, SentencePieceModel& model) {
  for_each_field(message, [&](const Field& field) {
    if (field.number == 2) model.charsmap = field.bytes;
    if (field.number == 3) model.begins_with_space = field.value != 0;
    if (field.number == 4) model.joins_spaces = field.value != 0;
  });
}

// The fields of a message, appended one by one.
class Message {
 public:
  Message& number(uint64_t field, uint64_t value) {
    varint(field << 3);
    varint(value);
    return *this;
  }
  Message& real(uint64_t field, float value) {
    varint(field << 3 | 5);
    const auto bits = std::bit_cast<uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) bytes_ += static_cast<char>(bits >> shift);
    return *this;
  }
  Message& text(uint64_t field, std::string_view value) {
    varint(field << 3 | 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

}  // namespace

SentencePieceModel read_sentencepiece_model(const std::filesystem::path& file) {
  const std::string content = read_file(file);
  SentencePieceModel model;
  try {
    for_each_field(content, [&](const Field& field) {
      if (field.number == 1) model.pieces.push_back(read_piece(field.bytes));
      if (field.number == 2) read_trainer(field.bytes, model);
      if (field.number == 3) read_normalizer_spec(field.bytes, model);
    });
    if (model.pieces.empty()) fail("it has no pieces");
  } catch (const Error& e) {
    fail("{}: is no SentencePiece model: {}", file.string(), e.what());
  }
  return model;
}

std::string serialized(const SentencePieceModel& model) {
  Message whole;
  for (const auto& piece : model.pieces)
    whole.text(1, Message().text(1, piece.text).real(2, piece.score).number(3, piece.type).bytes());
  whole.text(2, Message()
                    .number(3, model.algorithm)
                    .number(35, model.byte_fallback)
                    .number(40, static_cast<uint64_t>(model.unknown))
                    .bytes());
  whole.text(3, Message()
                    .text(2, model.charsmap)
                    .number(3, model.begins_with_space)
                    .number(4, model.joins_spaces)
                    .bytes());
  return whole.bytes();
}

}  // namespace mtlora
