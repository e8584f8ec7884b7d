#include "lib/core/gguf.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "lib/core/error.h"
#include "lib/core/gguf_reader.h"

namespace mtlora {
namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr uint32_t kDefaultAlignment = 32, kMaxDimensions = 4;
// The shortest entries: a name of one byte, then type and a byte; or sizes' count, a size, type,
// offset.
constexpr uint64_t kLeastEntryBytes = 8 + 1 + 4 + 1, kLeastTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

constexpr std::array kTypeNames{"uint8",  "int8",    "uint16",  "int16", "uint32",
                                "int32",  "float32", "boolean", "text",  "array",
                                "uint64", "int64",   "float64"};

const char* name_of(GgufType type) {
  return kTypeNames[static_cast<size_t>(type)];
}

// Bytes of a value of fixed size, 0 of a string.
uint64_t bytes_of(GgufType type) {
  constexpr std::array<uint64_t, 13> kBytes{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return kBytes[static_cast<size_t>(type)];
}

}  // namespace

// Builds a GgufFile's description; see the file comment of gguf.h for the order.
class GgufFile::Reader {
 public:
  explicit Reader(GgufFile& file) : file_(file), in_(file.mapped_.bytes(), file.path().string()) {}

  void read() {
    in_.now("the header");
    check_magic();
    in_.now("the header, count of tensors");
    const uint64_t tensors = in_.count("tensors", kLeastTensorBytes);
    in_.now("the header, count of metadata");
    const uint64_t entries = in_.count("keys of metadata", kLeastEntryBytes);
    for (uint64_t i = 0; i < entries; ++i) read_entry(i);
    for (uint64_t i = 0; i < tensors; ++i) read_tensor(i);
    place_tensors();
  }

 private:
  void check_magic() {
    if (in_.left() < 8 || in_.number<uint32_t>() != kMagic) in_.refuse("this is not a GGUF file");
    file_.version_ = in_.number<uint32_t>();
    if (file_.version_ != 0 && file_.version_ % 0x10000 == 0)
      in_.refuse("the file is big-endian, which is not implemented");
    if (file_.version_ != 2 && file_.version_ != 3)
      in_.refuse("version {} of GGUF is not implemented (only 2 and 3)", file_.version_);
  }

  GgufType read_type() {
    const auto type = in_.number<uint32_t>();
    if (type >= kTypeNames.size()) in_.refuse("unknown type of value {}", type);
    return static_cast<GgufType>(type);
  }

  void read_entry(uint64_t number) {
    in_.now(fmt::format("metadata number {}", number + 1));
    Entry entry{.key = in_.name(), .type = {}};
    in_.now(fmt::format("metadata \"{}\"", entry.key));
    if (!file_.index_.emplace(entry.key, file_.entries_.size()).second)
      in_.refuse("the key stands there twice");
    entry.type = read_type();
    entry.is_array = entry.type == GgufType::kArray;
    if (entry.is_array) {
      entry.type = read_type();
      if (entry.type == GgufType::kArray) in_.refuse("an array of arrays is not implemented");
      entry.count = in_.count("elements", std::max<uint64_t>(bytes_of(entry.type), 1));
    }
    entry.at = in_.at();
    skip_values(entry);
    file_.entries_.push_back(entry);
  }

  void skip_values(const Entry& entry) {
    if (entry.type == GgufType::kString) {
      for (uint64_t i = 0; i < entry.count; ++i) in_.text();
      return;
    }
    const uint64_t each = bytes_of(entry.type);
    if (entry.count > in_.left() / each) in_.refuse("its value is cut off with the file");
    in_.skip(entry.count * each);
  }

  void read_tensor(uint64_t number) {
    in_.now(fmt::format("tensor number {}", number + 1));
    GgufTensor tensor{.name = std::string(in_.name()), .type = nullptr, .shape = {}, .bytes = {}};
    in_.now(fmt::format("tensor \"{}\"", tensor.name));
    if (!names_.insert(tensor.name).second) in_.refuse("the tensor stands there twice");
    const auto dimensions = in_.number<uint32_t>();
    if (dimensions < 1 || dimensions > kMaxDimensions)
      in_.refuse("{} dimensions, expected 1 to {}", dimensions, kMaxDimensions);
    std::vector<uint64_t> sizes(dimensions);
    for (uint64_t& size : sizes) size = in_.number<uint64_t>();
    const auto type = in_.number<uint32_t>();
    tensor.type = find_ggml_type(type);
    if (!tensor.type) in_.refuse("unknown type of tensor {}", type);
    const uint64_t bytes = tensor_bytes(sizes, *tensor.type);
    tensor.shape.assign(sizes.rbegin(), sizes.rend());
    places_.push_back({in_.number<uint64_t>(), bytes, in_.at()});
    file_.tensors_.push_back(std::move(tensor));
  }

  uint64_t tensor_bytes(const std::vector<uint64_t>& sizes, const GgmlType& type) {
    const auto block = static_cast<uint64_t>(type.block_elements);
    if (sizes[0] % block != 0)
      in_.refuse("a row of {} elements is not whole blocks of {} ({})", sizes[0], block, type.name);
    uint64_t bytes = static_cast<uint64_t>(type.block_bytes);
    bool overflows = false;
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (sizes[i] == 0) in_.refuse("a size of 0");
      overflows |= __builtin_mul_overflow(bytes, i == 0 ? sizes[0] / block : sizes[i], &bytes);
    }
    // An element takes at least half a bit, so what holds for the bytes holds for the elements.
    if (overflows || bytes > uint64_t{1} << 56)
      in_.refuse("the sizes {} are too large for any file", fmt::join(sizes, " x "));
    return bytes;
  }

  uint64_t alignment() const {
    const std::string_view key = "general.alignment";
    if (!file_.has(key)) return kDefaultAlignment;
    const int64_t found = file_.integer(key);
    if (found < 1 || found > 1 << 20 || !std::has_single_bit(static_cast<uint64_t>(found)))
      fail("{}: metadata \"{}\": {} is not a power of two up to {}", file_.path().string(), key,
           found, 1 << 20);
    return static_cast<uint64_t>(found);
  }

  void place_tensors() {
    const std::string_view bytes = file_.mapped_.bytes();
    const uint64_t aligned = alignment(), begin = (in_.at() + aligned - 1) / aligned * aligned;
    const uint64_t data = bytes.size() > begin ? bytes.size() - begin : 0;
    for (size_t i = 0; i < places_.size(); ++i) {
      const auto& [offset, length, described_at] = places_[i];
      GgufTensor& tensor = file_.tensors_[i];
      const auto refuse = [&](const std::string& why) {
        fail("{}: tensor \"{}\", byte {}: {}", file_.path().string(), tensor.name, described_at,
             why);
      };
      if (offset % aligned != 0)
        refuse(fmt::format("its offset {} is no multiple of the alignment {}", offset, aligned));
      if (length > data || offset > data - length)
        refuse(fmt::format("{} bytes from byte {} of the data, which has {}; is the file cut off?",
                           length, offset, data));
      tensor.bytes = bytes.substr(begin + offset, length);
    }
  }

  struct Place {
    uint64_t offset, bytes;
    size_t described_at;
  };

  GgufFile& file_;
  GgufCursor in_;
  std::unordered_set<std::string> names_;
  std::vector<Place> places_;  // of the tensors, counted from the end of the description
};

GgufFile::GgufFile(const std::filesystem::path& file) : mapped_(file) {
  Reader(*this).read();
}

std::vector<std::string> GgufFile::keys() const {
  std::vector<std::string> keys;
  for (const Entry& entry : entries_) keys.emplace_back(entry.key);
  return keys;
}

const GgufFile::Entry& GgufFile::entry(std::string_view key, bool is_array) const {
  const auto found = index_.find(key);
  if (found == index_.end()) fail("{}: lacks the metadata \"{}\"", path().string(), key);
  const Entry& entry = entries_[found->second];
  if (entry.is_array != is_array)
    fail("{}: metadata \"{}\": {} is wanted, but it is {}", path().string(), key,
         is_array ? "an array" : "a single value", is_array ? "a single value" : "an array");
  return entry;
}

void GgufFile::fail_type(const Entry& entry, const char* wanted) const {
  fail("{}: metadata \"{}\": {} is wanted, but it is {}{}", path().string(), entry.key, wanted,
       entry.is_array ? "an array of " : "", name_of(entry.type));
}

int64_t GgufFile::integer_at(const Entry& entry, uint64_t index) const {
  const std::string_view bytes = mapped_.bytes();
  const size_t at = entry.at + index * bytes_of(entry.type);
  switch (entry.type) {
    case GgufType::kUint8:
      return load_as<uint8_t>(bytes, at);
    case GgufType::kInt8:
      return load_as<int8_t>(bytes, at);
    case GgufType::kUint16:
      return load_as<uint16_t>(bytes, at);
    case GgufType::kInt16:
      return load_as<int16_t>(bytes, at);
    case GgufType::kUint32:
      return load_as<uint32_t>(bytes, at);
    case GgufType::kInt32:
      return load_as<int32_t>(bytes, at);
    case GgufType::kInt64:
      return load_as<int64_t>(bytes, at);
    case GgufType::kUint64: {
      const auto value = load_as<uint64_t>(bytes, at);
      if (value > INT64_MAX)
        fail("{}: metadata \"{}\": {} is too large", path().string(), entry.key, value);
      return static_cast<int64_t>(value);
    }
    default:
      fail_type(entry, "an integer");
  }
}

double GgufFile::number_at(const Entry& entry, uint64_t index) const {
  const size_t at = entry.at + index * bytes_of(entry.type);
  if (entry.type == GgufType::kFloat32) return load_as<float>(mapped_.bytes(), at);
  if (entry.type == GgufType::kFloat64) return load_as<double>(mapped_.bytes(), at);
  if (entry.type == GgufType::kBool || entry.type == GgufType::kString)
    fail_type(entry, "a number");
  return static_cast<double>(integer_at(entry, index));
}

int64_t GgufFile::integer(std::string_view key) const {
  return integer_at(entry(key, false), 0);
}

double GgufFile::number(std::string_view key) const {
  return number_at(entry(key, false), 0);
}

bool GgufFile::boolean(std::string_view key) const {
  const Entry& found = entry(key, false);
  if (found.type != GgufType::kBool) fail_type(found, "a boolean");
  const auto value = load_as<uint8_t>(mapped_.bytes(), found.at);
  if (value > 1)
    fail("{}: metadata \"{}\": the boolean is {}, expected 0 or 1", path().string(), key, value);
  return value == 1;
}

std::string_view GgufFile::text(std::string_view key) const {
  const Entry& found = entry(key, false);
  if (found.type != GgufType::kString) fail_type(found, "text");
  return mapped_.bytes().substr(found.at + 8, load_as<uint64_t>(mapped_.bytes(), found.at));
}

std::vector<int64_t> GgufFile::integers(std::string_view key) const {
  const Entry& found = entry(key, true);
  std::vector<int64_t> values;
  for (uint64_t i = 0; i < found.count; ++i) values.push_back(integer_at(found, i));
  return values;
}

std::vector<double> GgufFile::numbers(std::string_view key) const {
  const Entry& found = entry(key, true);
  std::vector<double> values;
  for (uint64_t i = 0; i < found.count; ++i) values.push_back(number_at(found, i));
  return values;
}

std::vector<std::string_view> GgufFile::texts(std::string_view key) const {
  const Entry& found = entry(key, true);
  if (found.type != GgufType::kString) fail_type(found, "text");
  std::vector<std::string_view> values;
  for (size_t i = 0, at = found.at; i < found.count; ++i) {
    const auto length = load_as<uint64_t>(mapped_.bytes(), at);
    values.push_back(mapped_.bytes().substr(at + 8, length));
    at += 8 + length;
  }
  return values;
}

}  // namespace mtlora
