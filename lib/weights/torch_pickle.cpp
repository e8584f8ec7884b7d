#include "lib/weights/torch_pickle.h"

#include <ATen/ops/empty.h>

#include <array>
#include <fstream>
#include <mutex>

#include "lib/core/error.h"
#include "lib/weights/pickle.h"
#include "lib/weights/zip_archive.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

using pickle::Kind;
using pickle::Value;

// A value read takes up to a hundred times its bytes; the pickle of ten thousand tensors has 2 MB.
constexpr uint64_t kPickleLimitBytes = 16'000'000;

struct Storage {
  std::string entry;  // of the archive
  at::ScalarType dtype;
  int64_t count;
  int users = 0;
};

// A tensor as a view of its storage.
struct View {
  std::string key;
  int64_t offset;
  std::vector<int64_t> shape, strides;
};

at::ScalarType dtype_of(const std::string& global) {
  static const std::map<std::string, at::ScalarType> types{
      {"torch DoubleStorage", at::kDouble}, {"torch FloatStorage", at::kFloat},
      {"torch HalfStorage", at::kHalf},     {"torch BFloat16Storage", at::kBFloat16},
      {"torch LongStorage", at::kLong},     {"torch IntStorage", at::kInt},
      {"torch ShortStorage", at::kShort},   {"torch CharStorage", at::kChar},
      {"torch ByteStorage", at::kByte},     {"torch BoolStorage", at::kBool}};
  return types.at(global);
}

std::vector<int64_t> counts(const Value& tuple, const char* what) {
  std::vector<int64_t> numbers;
  if (tuple.kind != Kind::kTuple) fail("its {} is {}", what, name_of(tuple.kind));
  for (const Value* item : tuple.items) {
    if (item->kind != Kind::kInteger || item->number < 0)
      fail("its {} holds {}, expected counts", what,
           item->kind == Kind::kInteger ? std::to_string(item->number) : name_of(item->kind));
    numbers.push_back(item->number);
  }
  return numbers;
}

// Elements of the storage from its begin to the view's last one; nothing beyond int64.
std::optional<int64_t> elements_reached(const View& view) {
  int64_t last = view.offset;
  for (size_t i = 0; i < view.shape.size(); ++i) {
    if (view.shape[i] == 0) return view.offset;
    int64_t along;
    if (__builtin_mul_overflow(view.shape[i] - 1, view.strides[i], &along) ||
        __builtin_add_overflow(last, along, &last))
      return std::nullopt;
  }
  return last == INT64_MAX ? std::nullopt : std::optional(last + 1);
}

// Checked against its storage. Its Errors do not name file and tensor.
View view_of(const Value& tensor) {
  const Value &storage = *tensor.items[0], &offset = *tensor.items[1];
  if (storage.kind != Kind::kStorage) fail("its storage is {}", name_of(storage.kind));
  if (offset.kind != Kind::kInteger || offset.number < 0) fail("its offset is no count");
  View view{storage.text, offset.number, counts(*tensor.items[2], "shape"),
            counts(*tensor.items[3], "strides")};
  if (view.shape.size() != view.strides.size())
    fail("it has {} sizes, but {} strides", view.shape.size(), view.strides.size());
  if (!contiguous_bytes(view.shape, sizeof(double)))
    fail("its shape [{}] is too large for any memory", fmt::join(view.shape, ", "));
  const auto reached = elements_reached(view);
  if (!reached || *reached > storage.number)
    fail("shape [{}] with strides [{}] from element {} leaves its storage of {} elements",
         fmt::join(view.shape, ", "), fmt::join(view.strides, ", "), view.offset, storage.number);
  return view;
}

// What a file holds that is not a plain dictionary of tensors.
[[noreturn]] void fail_with_contents(const std::string& file, const Value& root) {
  std::vector<std::string> held;
  for (const auto& [key, value] : root.pairs)
    if (held.size() < 10)
      held.push_back(fmt::format("{} ({})",
                                 key->kind == Kind::kString ? key->text : name_of(key->kind),
                                 name_of(value->kind)));
  fail(
      "{}: expected a dictionary of tensors alone, found {}{}{}; save the model's state_dict() by "
      "itself",
      file, name_of(root.kind), held.empty() ? "" : " of ", fmt::join(held, ", "));
}

void check_is_zip(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::array<char, 2> begin{};
  in.read(begin.data(), begin.size());
  if (begin == std::array{'\x80', '\x02'})
    fail(
        "{}: is in the format of torch.save from before PyTorch 1.6; in Python, "
        "`safetensors.torch.save_file(torch.load(\"{}\", weights_only=True), "
        "\"model.safetensors\")` makes one that can be read",
        file.string(), file.filename().string());
}

class TorchFile final : public WeightFile {
 public:
  explicit TorchFile(const fs::path& file) : WeightFile(file), zip_(file) {
    find_folder();
    check_byte_order();
    const std::string text = read_pickle();
    const pickle::Pickle pickle = pickle::parse(text, file.string());
    const Value& root = *pickle.root;
    if (root.kind != Kind::kDictionary) fail_with_contents(file.string(), root);
    for (const auto& [key, value] : root.pairs)
      if (key->kind != Kind::kString || value->kind != Kind::kTensor)
        fail_with_contents(file.string(), root);
    add_tensors(root);
  }

 private:
  std::string name() const { return path().string(); }

  // Everything is in one folder of the archive, named as the file once was.
  void find_folder() {
    std::vector<std::string> found;
    for (const std::string& entry : zip_.names())
      if (entry == "data.pkl" || entry.ends_with("/data.pkl")) found.push_back(entry);
    if (found.size() != 1)
      fail("{}: {} entries \"data.pkl\", expected one: not written by torch.save", name(),
           found.size());
    folder_ = found[0].substr(0, found[0].size() - std::string_view("data.pkl").size());
    if (zip_.has(folder_ + "constants.pkl"))
      fail("{}: is a TorchScript program, expected tensors alone", name());
  }

  void check_byte_order() const {
    if (!zip_.has(folder_ + "byteorder")) return;  // files from before PyTorch 2.1 do not say
    std::string order(std::min<uint64_t>(zip_.size_bytes(folder_ + "byteorder"), 64), '\0');
    if (zip_.size_bytes(folder_ + "byteorder") == order.size())
      zip_.read(folder_ + "byteorder", order.data());
    if (order != "little") fail("{}: its byte order is \"{}\", expected \"little\"", name(), order);
  }

  std::string read_pickle() const {
    const uint64_t size = zip_.size_bytes(folder_ + "data.pkl");
    if (size > kPickleLimitBytes)
      fail("{}: a pickle of {} bytes, at most {} are allowed", name(), size, kPickleLimitBytes);
    std::string text(size, '\0');
    zip_.read(folder_ + "data.pkl", text.data());
    return text;
  }

  void add_tensors(const Value& root) {
    std::vector<TensorInfo> infos;
    Problems problems;
    for (const auto& [key, tensor] : root.pairs) {
      try {
        View view = view_of(*tensor);
        const Storage& storage = add_storage(*tensor->items[0]);
        infos.push_back({key->text, storage.dtype, view.shape});
        views_.push_back(std::move(view));
      } catch (const Error& e) {
        problems.add(fmt::format("{}: tensor \"{}\": {}", name(), key->text, e.what()));
      }
    }
    problems.raise();
    set_tensors(std::move(infos));
  }

  const Storage& add_storage(const Value& given) {
    const at::ScalarType dtype = dtype_of(given.items[0]->text);
    const auto [at, is_new] = storages_.try_emplace(
        given.text, Storage{folder_ + "data/" + given.text, dtype, given.number});
    Storage& storage = at->second;
    ++storage.users;
    if (storage.dtype != dtype || storage.count != given.number)
      fail("its storage {} is described in two ways", given.text);
    if (!is_new) return storage;
    const auto bytes = contiguous_bytes({storage.count}, c10::elementSize(dtype));
    if (!zip_.has(storage.entry)) fail("its storage \"{}\" is missing", storage.entry);
    const uint64_t found = zip_.size_bytes(storage.entry);
    if (!bytes || static_cast<uint64_t>(*bytes) != found)
      fail("its storage \"{}\" has {} bytes, expected {} of {}", storage.entry, found,
           storage.count, c10::toString(dtype));
    return storage;
  }

  at::Tensor read_storage(const View& view) const {
    if (view.key == last_key_) return last_;
    const Storage& storage = storages_.at(view.key);
    at::Tensor whole = at::empty({storage.count}, storage.dtype);
    if (storage.count > 0) zip_.read(storage.entry, whole.data_ptr());
    // Kept while others may ask for it next: tied weights, slices of one buffer.
    last_key_ = storage.users > 1 ? std::optional(view.key) : std::nullopt;
    last_ = storage.users > 1 ? whole : at::Tensor();
    return whole;
  }

  at::Tensor read_at(size_t index) const override {
    const std::scoped_lock lock(mutex_);
    const View& view = views_[index];
    const at::Tensor whole = read_storage(view);
    const at::Tensor part = whole.as_strided(view.shape, view.strides, view.offset);
    const bool owns_all = !last_key_ && part.numel() == whole.numel() && part.is_contiguous();
    return owns_all || part.numel() > whole.numel() ? part
                                                    : part.clone(at::MemoryFormat::Contiguous);
  }

  ZipArchive zip_;
  std::string folder_;
  std::map<std::string, Storage> storages_;
  std::vector<View> views_;  // by tensor
  mutable std::mutex mutex_;
  mutable std::optional<std::string> last_key_;
  mutable at::Tensor last_;
};

}  // namespace

std::unique_ptr<WeightFile> open_torch(const fs::path& file) {
  check_is_zip(file);
  return std::make_unique<TorchFile>(file);
}

}  // namespace mtlora
