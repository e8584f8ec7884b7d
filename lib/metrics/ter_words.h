// The words that TER compares: tercom's tokenizer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lib/core/options.h"

namespace mtlora {

/// tercom's flags -N, -s and -P; the defaults are tercom's, and what the WebNLG challenge called.
struct TerWords {
  bool normalize = false, case_sensitive = false, punctuation = true;

  void fields(Fields& f) {
    f("normalize", normalize, "split punctuation off and decode entities first (tercom -N)");
    f("case_sensitive", case_sensitive, "words that differ in case differ (tercom -s)");
    f("punctuation", punctuation, "false: leave out . , ? : ; ! \" ( ) (tercom -P)");
  }
};

/// The words of `text`, which is UTF-8.
std::vector<std::string> ter_words(std::string_view text, const TerWords& options);

}  // namespace mtlora
