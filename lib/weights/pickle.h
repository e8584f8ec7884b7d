// Python's pickle, read without running any of it: the values that a file of tensors consists of,
// and an Error for everything else.
// Source: CPython Lib/pickletools.py (opcodes of protocols 2 to 5, without protocol 5's own, of
// buffers, which torch.save does not write), torch/_utils.py (_rebuild_tensor_v2,
// _rebuild_parameter), torch/serialization.py (persistent_id).
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mtlora::pickle {

enum class Kind {
  kNone,
  kBool,
  kInteger,
  kReal,
  kString,
  kTuple,
  kList,
  kDictionary,
  kGlobal,   ///< `text` is its name, "torch FloatStorage"
  kStorage,  ///< `text` is its key, `items` its type, `number` its count of elements
  kTensor,   ///< `items` are storage, offset, sizes, strides
};

/// A value; the others it is made of belong to the same Pickle, and may be shared or form a circle.
struct Value {
  Kind kind = Kind::kNone;
  int64_t number = 0;  ///< of kBool, kInteger, kStorage
  std::string text;    ///< of kString, kGlobal, kStorage
  std::vector<Value*> items;
  std::vector<std::pair<Value*, Value*>> pairs;  ///< of kDictionary, in its order
  bool is_ordered_dict = false;
};

/// "a dictionary", for messages.
const char* name_of(Kind kind);

struct Pickle {
  std::deque<Value> values;  ///< owns all
  Value* root = nullptr;
};

/// Reads one pickle. Throws Error (beginning with `origin`) for what is cut off or malformed, and
/// for every name that is not one of those a state_dict is made of: nothing is ever called.
Pickle parse(std::string_view bytes, const std::string& origin);

}  // namespace mtlora::pickle
