#include "lib/weights/safetensors_header.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <set>

#include "lib/core/error.h"

namespace mtlora {
namespace {

using Json = nlohmann::json;  // finds a key fast among many, which ordered_json does not

struct Type {
  const char* name;
  at::ScalarType dtype;
};
constexpr std::array kTypes{Type{"F64", at::kDouble}, Type{"F32", at::kFloat},
                            Type{"F16", at::kHalf},   Type{"BF16", at::kBFloat16},
                            Type{"I64", at::kLong},   Type{"I32", at::kInt},
                            Type{"I16", at::kShort},  Type{"I8", at::kChar},
                            Type{"U8", at::kByte},    Type{"BOOL", at::kBool}};

std::string type_names() {
  std::vector<std::string> names;
  for (const Type& type : kTypes) names.emplace_back(type.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string shown(const Json& value) {
  const std::string text = value.dump();
  return text.size() > 80 ? text.substr(0, 80) + "…" : text;
}

// The JSON, and its first-level keys in their order, which Json loses.
std::pair<Json, std::vector<std::string>> parse_object(std::string_view text,
                                                       const std::string& file) {
  std::vector<std::string> names;
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  std::optional<std::string> twice;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
    // Nothing of the format is deeper, and what prints a value goes down it by recursion.
    if (depth > 3) fail("{}: the header is nested too deep", file);
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event != Json::parse_event_t::key) return true;
    const auto& key = value.get_ref<const std::string&>();
    if (!keys.back().insert(key).second && !twice) twice = key;
    if (depth == 1) names.push_back(key);
    return true;
  };
  Json json;
  try {
    json = Json::parse(text.begin(), text.end(), watch);
  } catch (const Json::exception& e) {
    fail("{}: the header is not valid JSON: {}", file, e.what());
  }
  if (twice) fail("{}: \"{}\" stands twice in the header", file, *twice);
  if (!json.is_object()) fail("{}: the header is not a JSON object of tensor names", file);
  return {std::move(json), std::move(names)};
}

bool is_list_of_counts(const Json& value) {
  return value.is_array() && std::all_of(value.begin(), value.end(), [](const Json& each) {
           return each.is_number_unsigned() && each.get<uint64_t>() <= INT64_MAX;
         });
}

// One entry, checked by itself. Its Errors do not name file and tensor.
std::pair<TensorInfo, ByteRange> parse_entry(const std::string& name, const Json& entry) {
  if (!entry.is_object()) fail("expected {{dtype, shape, data_offsets}}, got {}", shown(entry));
  for (const char* key : {"dtype", "shape", "data_offsets"})
    if (!entry.contains(key)) fail("lacks \"{}\"", key);
  const Json &dtype = entry["dtype"], &shape = entry["shape"], &offsets = entry["data_offsets"];
  const auto type = std::find_if(kTypes.begin(), kTypes.end(),
                                 [&](const Type& known) { return dtype == known.name; });
  if (type == kTypes.end())
    fail("unknown dtype {}; expected one of {}", shown(dtype), type_names());
  if (!is_list_of_counts(shape)) fail("expected a list of sizes as shape, got {}", shown(shape));
  if (!is_list_of_counts(offsets) || offsets.size() != 2 || offsets[0] > offsets[1])
    fail("expected [begin, end] as data_offsets, got {}", shown(offsets));

  TensorInfo info{name, type->dtype, shape.get<std::vector<int64_t>>()};
  const ByteRange range{offsets[0].get<uint64_t>(), offsets[1].get<uint64_t>()};
  const auto bytes = contiguous_bytes(info.shape, c10::elementSize(info.dtype));
  if (!bytes) fail("shape {} is too large for any memory", shown(shape));
  if (static_cast<uint64_t>(*bytes) != range.end - range.begin)
    fail("{} {} takes {} bytes, but data_offsets {} hold {}", type->name, shown(shape), *bytes,
         shown(offsets), range.end - range.begin);
  return {std::move(info), range};
}

// The ranges, laid one after another, are exactly the data: no overlap, no hole, nothing outside.
void check_layout(const SafetensorsHeader& header, uint64_t data_bytes, const std::string& file) {
  const auto& ranges = header.ranges;
  std::vector<size_t> order(ranges.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(ranges[a].begin, ranges[a].end) < std::pair(ranges[b].begin, ranges[b].end);
  });
  uint64_t expected = 0;
  for (const size_t i : order) {
    const auto& [begin, end] = ranges[i];
    const std::string& name = header.tensors[i].name;
    if (end > data_bytes)
      fail("{}: tensor \"{}\" ends at byte {} of the data, which has {}; is the file cut off?",
           file, name, end, data_bytes);
    if (begin != expected)
      fail("{}: tensor \"{}\" begins at byte {} of the data, expected {}: {}", file, name, begin,
           expected, begin < expected ? "it overlaps another" : "there is a hole before it");
    expected = end;
  }
  if (expected != data_bytes)
    fail("{}: the tensors end at byte {} of the data, which has {}", file, expected, data_bytes);
}

std::map<std::string, std::string> parse_metadata(const Json& given, const std::string& file) {
  if (!given.is_object() ||
      !std::all_of(given.begin(), given.end(), [](const Json& each) { return each.is_string(); }))
    fail("{}: expected strings in \"__metadata__\", got {}", file, shown(given));
  return given.get<std::map<std::string, std::string>>();
}

const char* type_name(const std::string& name, at::ScalarType dtype, const std::string& file) {
  for (const Type& type : kTypes)
    if (type.dtype == dtype) return type.name;
  fail("{}: tensor \"{}\" is of type {}; safetensors has {}", file, name, c10::toString(dtype),
       type_names());
}

}  // namespace

SafetensorsHeader parse_header(std::string_view text, uint64_t data_bytes,
                               const std::string& file) {
  const auto [json, names] = parse_object(text, file);
  SafetensorsHeader header;
  Problems problems;
  for (const std::string& name : names) {
    if (name == "__metadata__") {
      header.metadata = parse_metadata(json[name], file);
      continue;
    }
    try {
      auto [info, range] = parse_entry(name, json[name]);
      header.tensors.push_back(std::move(info));
      header.ranges.push_back(range);
    } catch (const Error& e) {
      problems.add(fmt::format("{}: tensor \"{}\": {}", file, name, e.what()));
    }
  }
  problems.raise();
  check_layout(header, data_bytes, file);
  return header;
}

std::string header_text(const NamedTensors& tensors,
                        const std::map<std::string, std::string>& metadata,
                        const std::string& file) {
  std::string text;
  std::set<std::string> names{"__metadata__"};
  const auto add = [&](const std::string& key, const std::string& value) {
    text += (text.empty() ? '{' : ',') + Json(key).dump() + ':' + value;
  };
  uint64_t end = 0;
  try {
    if (!metadata.empty()) add("__metadata__", Json(metadata).dump());
    for (const auto& [name, tensor] : tensors) {
      if (!tensor.defined()) fail("{}: tensor \"{}\" has no value", file, name);
      if (!names.insert(name).second) fail("{}: tensor \"{}\" is given twice", file, name);
      const uint64_t begin = end;
      end += static_cast<uint64_t>(tensor.numel()) * tensor.element_size();
      add(name, fmt::format(R"({{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                            type_name(name, tensor.scalar_type(), file),
                            fmt::join(tensor.sizes().vec(), ","), begin, end));
    }
  } catch (const Json::exception& e) {
    fail("{}: a name or a piece of metadata is not UTF-8: {}", file, e.what());
  }
  text += text.empty() ? "{}" : "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

}  // namespace mtlora
