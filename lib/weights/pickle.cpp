#include "lib/weights/pickle.h"

#include <array>
#include <cstring>
#include <unordered_map>

#include "lib/core/error.h"

namespace mtlora::pickle {
namespace {

constexpr std::string_view kOrderedDict = "collections OrderedDict";
constexpr std::string_view kTensor = "torch._utils _rebuild_tensor_v2";
constexpr std::string_view kParameter = "torch._utils _rebuild_parameter";

bool is_storage_type(std::string_view name) {
  static constexpr std::array kNames{"Double", "Float", "Half", "BFloat16", "Long",
                                     "Int",    "Short", "Char", "Byte",     "Bool"};
  for (const std::string_view type : kNames)
    if (name == "torch " + std::string(type) + "Storage") return true;
  return false;
}

bool is_known(std::string_view name) {
  return name == kOrderedDict || name == kTensor || name == kParameter || is_storage_type(name);
}

// The stack machine. An opcode makes at most one value, so memory is bounded by the pickle's size.
class Machine {
 public:
  Machine(std::string_view bytes, std::string origin) : bytes_(bytes), origin_(std::move(origin)) {}

  Pickle run() {
    for (;;) {
      opcode_at_ = at_;
      const char opcode = take(1)[0];
      if (opcode == '.') break;
      if (!read_constant(opcode) && !read_container(opcode) && !read_memo(opcode) &&
          !read_call(opcode))
        refuse("opcode 0x{:02x}, which no state_dict needs", static_cast<unsigned char>(opcode));
    }
    pickle_.root = pop();
    return std::move(pickle_);
  }

 private:
  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    fail("{}: at byte {} of its pickle: {}", origin_, opcode_at_,
         fmt::format(format, std::forward<Args>(args)...));
  }

  // Bytes of the pickle.
  std::string_view take(uint64_t count) {
    if (count > bytes_.size() - at_) refuse("the pickle is cut off");
    const std::string_view taken = bytes_.substr(at_, count);
    at_ += count;
    return taken;
  }
  uint64_t take_number(size_t width) {
    uint64_t number = 0;
    std::memcpy(&number, take(width).data(), width);
    return number;
  }
  std::string_view take_line() {
    const size_t end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) refuse("the pickle is cut off");
    const std::string_view line = take(end - at_);
    take(1);
    return line;
  }
  int64_t take_long(uint64_t width) {  // two's complement of any width
    const std::string_view digits = take(width);
    if (width > 8) refuse("an integer of {} bytes, expected at most 8", width);
    if (width == 0) return 0;
    uint64_t number = 0;
    std::memcpy(&number, digits.data(), width);
    const auto shift = static_cast<int>(64 - 8 * width);
    return static_cast<int64_t>(number << shift) >> shift;
  }

  // The stack.
  Value* push(Kind kind) {
    pickle_.values.emplace_back().kind = kind;
    return stack_.emplace_back(&pickle_.values.back());
  }
  Value* push_number(Kind kind, int64_t number) {
    Value* value = push(kind);
    value->number = number;
    return value;
  }
  Value* push_text(Kind kind, std::string_view text) {
    Value* value = push(kind);
    value->text = text;
    return value;
  }
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  Value* pop() {
    if (stack_.size() <= floor()) refuse("nothing is on the stack");
    Value* value = stack_.back();
    stack_.pop_back();
    return value;
  }
  std::vector<Value*> pop_many(size_t count) {
    if (stack_.size() - floor() < count) refuse("too little is on the stack");
    const auto begin = stack_.end() - static_cast<std::ptrdiff_t>(count);
    std::vector<Value*> values(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    return values;
  }
  std::vector<Value*> pop_to_mark() {
    if (marks_.empty()) refuse("no mark is on the stack");
    std::vector<Value*> values = pop_many(stack_.size() - marks_.back());
    marks_.pop_back();
    return values;
  }
  Value* top(Kind kind) {
    if (stack_.size() <= floor()) refuse("nothing is on the stack");
    if (stack_.back()->kind != kind)
      refuse("expected {}, found {}", name_of(kind), name_of(stack_.back()->kind));
    return stack_.back();
  }

  // clang-format off
  bool read_constant(char opcode) {
    switch (opcode) {
      case '\x80': check_protocol(); return true;  // PROTO
      case '\x95': take(8); return true;  // FRAME
      case 'N': push(Kind::kNone); return true;  // NONE
      case '\x88': push_number(Kind::kBool, 1); return true;  // NEWTRUE
      case '\x89': push_number(Kind::kBool, 0); return true;  // NEWFALSE
      case 'K': push_integer(static_cast<int64_t>(take_number(1))); return true;  // BININT1
      case 'M': push_integer(static_cast<int64_t>(take_number(2))); return true;  // BININT2
      case 'J': push_integer(take_long(4)); return true;  // BININT
      case '\x8a': push_integer(take_long(take_number(1))); return true;  // LONG1
      case 'G': take(8), push(Kind::kReal); return true;  // BINFLOAT
      case 'X': push_string(take_number(4)); return true;  // BINUNICODE
      case '\x8c': push_string(take_number(1)); return true;  // SHORT_BINUNICODE
      case '\x8d': push_string(take_number(8)); return true;  // BINUNICODE8
      case 'U': push_string(take_number(1)); return true;  // SHORT_BINSTRING
      case 'T': push_string(take_number(4)); return true;  // BINSTRING
      default: return false;
    }
  }
  // clang-format on
  void check_protocol() {
    const uint64_t protocol = take_number(1);
    if (protocol > 5) refuse("pickle protocol {}, expected at most 5", protocol);
  }
  void push_integer(int64_t number) { push_number(Kind::kInteger, number); }
  void push_string(uint64_t bytes) { push_text(Kind::kString, take(bytes)); }

  // clang-format off
  bool read_container(char opcode) {
    switch (opcode) {
      case '(': marks_.push_back(stack_.size()); return true;  // MARK
      case ')': push(Kind::kTuple); return true;  // EMPTY_TUPLE
      case '\x85': push_tuple(pop_many(1)); return true;  // TUPLE1
      case '\x86': push_tuple(pop_many(2)); return true;  // TUPLE2
      case '\x87': push_tuple(pop_many(3)); return true;  // TUPLE3
      case 't': push_tuple(pop_to_mark()); return true;  // TUPLE
      case ']': push(Kind::kList); return true;  // EMPTY_LIST
      case 'a': append(pop_many(1)); return true;  // APPEND
      case 'e': append(pop_to_mark()); return true;  // APPENDS
      case '}': push(Kind::kDictionary); return true;  // EMPTY_DICT
      case 's': set_items(pop_many(2)); return true;  // SETITEM
      case 'u': set_items(pop_to_mark()); return true;  // SETITEMS
      default: return false;
    }
  }
  // clang-format on
  void push_tuple(std::vector<Value*> items) { push(Kind::kTuple)->items = std::move(items); }
  void append(const std::vector<Value*>& items) {
    auto& list = top(Kind::kList)->items;
    list.insert(list.end(), items.begin(), items.end());
  }
  void set_items(const std::vector<Value*>& items) {
    auto& pairs = top(Kind::kDictionary)->pairs;
    if (items.size() % 2 != 0) refuse("a key without a value");
    for (size_t i = 0; i < items.size(); i += 2) pairs.emplace_back(items[i], items[i + 1]);
  }

  // clang-format off
  bool read_memo(char opcode) {
    switch (opcode) {
      case 'q': memoize(take_number(1)); return true;  // BINPUT
      case 'r': memoize(take_number(4)); return true;  // LONG_BINPUT
      case '\x94': memoize(memo_.size()); return true;  // MEMOIZE
      case 'h': recall(take_number(1)); return true;  // BINGET
      case 'j': recall(take_number(4)); return true;  // LONG_BINGET
      default: return false;
    }
  }
  // clang-format on
  void memoize(uint64_t index) {
    if (stack_.size() <= floor()) refuse("nothing is on the stack");
    memo_[index] = stack_.back();
  }
  void recall(uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) refuse("nothing was noted as {}", index);
    stack_.push_back(found->second);
  }

  // clang-format off
  bool read_call(char opcode) {
    switch (opcode) {
      case 'c': push_global(); return true;  // GLOBAL
      case '\x93': push_stack_global(); return true;  // STACK_GLOBAL
      case 'R': call(); return true;  // REDUCE
      case 'b': build(); return true;  // BUILD
      case 'Q': push_storage(); return true;  // BINPERSID
      default: return false;
    }
  }
  // clang-format on
  void push_global() {
    const std::string module(take_line()), name(take_line());
    push_known(module + " " + name);
  }
  void push_stack_global() {
    const auto parts = pop_many(2);
    for (const Value* part : parts)
      if (part->kind != Kind::kString) refuse("a global whose name is {}", name_of(part->kind));
    push_known(parts[0]->text + " " + parts[1]->text);
  }
  void push_known(const std::string& name) {
    if (!is_known(name))
      refuse("it asks for \"{}\", which is no part of a file of tensors; it was not run", name);
    push_text(Kind::kGlobal, name);
  }
  void call() {
    const auto parts = pop_many(2);
    const Value &function = *parts[0], &arguments = *parts[1];
    if (function.kind != Kind::kGlobal || arguments.kind != Kind::kTuple)
      refuse("a call of {} with {}", name_of(function.kind), name_of(arguments.kind));
    const auto& given = arguments.items;
    if (function.text == kOrderedDict && given.empty()) {
      push(Kind::kDictionary)->is_ordered_dict = true;
    } else if (function.text == kTensor && given.size() >= 6 && given.size() <= 7) {
      // The rest of its arguments (requires_grad, hooks, metadata) is no part of the numbers.
      push(Kind::kTensor)->items.assign(given.begin(), given.begin() + 4);
    } else if (function.text == kParameter && given.size() == 3 &&
               given[0]->kind == Kind::kTensor) {
      stack_.push_back(given[0]);
    } else {
      refuse("a call of \"{}\" with {} arguments that it does not have", function.text,
             given.size());
    }
  }
  // A module's state_dict() carries attributes (`_metadata`: versions of its layers).
  void build() {
    pop();
    if (!top(Kind::kDictionary)->is_ordered_dict) refuse("attributes of a plain dictionary");
  }
  void push_storage() {
    const Value* id = pop();
    const auto& items = id->items;
    if (id->kind != Kind::kTuple || items.size() != 5 || items[0]->kind != Kind::kString ||
        items[0]->text != "storage" || items[1]->kind != Kind::kGlobal ||
        !is_storage_type(items[1]->text) || items[2]->kind != Kind::kString ||
        items[4]->kind != Kind::kInteger)
      refuse("expected (\"storage\", type, key, location, count)");
    Value* storage = push_text(Kind::kStorage, items[2]->text);
    storage->items = {items[1]};
    storage->number = items[4]->number;
  }

  std::string_view bytes_;
  std::string origin_;
  uint64_t at_ = 0, opcode_at_ = 0;
  Pickle pickle_;
  std::vector<Value*> stack_;
  std::vector<size_t> marks_;  // sizes of the stack
  std::unordered_map<uint64_t, Value*> memo_;
};

}  // namespace

const char* name_of(Kind kind) {
  static constexpr std::array kNames{"None",     "a truth value", "an integer", "a number",
                                     "a string", "a tuple",       "a list",     "a dictionary",
                                     "a name",   "a storage",     "a tensor"};
  static_assert(kNames.size() == static_cast<size_t>(Kind::kTensor) + 1);
  return kNames[static_cast<size_t>(kind)];
}

Pickle parse(std::string_view bytes, const std::string& origin) {
  return Machine(bytes, origin).run();
}

}  // namespace mtlora::pickle
