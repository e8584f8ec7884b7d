#include "lib/core/json_fault.h"

namespace mtlora {

std::string json_fault(const std::string& what) {
  const size_t colon = what.find("column");
  const size_t detail = colon == std::string::npos ? colon : what.find(": ", colon);
  if (detail != std::string::npos) return what.substr(detail + 2);
  const size_t name = what.find("] ");
  return name == std::string::npos ? what : what.substr(name + 2);
}

}  // namespace mtlora
