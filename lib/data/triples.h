// A context of triples, as microsoft/LoRA writes it: `subject : relation : object`, triples joined
// by ` | `.
#pragma once

#include <string>
#include <string_view>

namespace mtlora {

class Triples {
 public:
  void add(std::string_view subject, std::string_view relation, std::string_view object);
  /// The context. Throws Error when there is no triple.
  const std::string& context() const;

 private:
  std::string context_;
  bool any_ = false;
};

}  // namespace mtlora
