#include "lib/data/triples.h"

#include <iterator>

#include "lib/core/error.h"

namespace mtlora {

void Triples::add(std::string_view subject, std::string_view relation, std::string_view object) {
  fmt::format_to(std::back_inserter(context_), "{}{} : {} : {}", any_ ? " | " : "", subject,
                 relation, object);
  any_ = true;
}

const std::string& Triples::context() const {
  if (!any_) fail("there is no triple");
  return context_;
}

}  // namespace mtlora
