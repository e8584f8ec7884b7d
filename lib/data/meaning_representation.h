// The meaning representations of E2E's CSV files, in the words of microsoft/LoRA's.
#pragma once

#include <string>
#include <string_view>

namespace mtlora {

/// `name[The Eagle], eatType[coffee shop], priceRange[£20-25]` becomes
/// `name : The Eagle | Type : coffee shop | price : £ 20 - 25`. Throws Error saying where it is not
/// of that form.
std::string context_of_meaning(std::string_view meaning);

}  // namespace mtlora
