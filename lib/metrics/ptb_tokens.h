// Words as COCO's caption scorers see them: what Stanford's PTBTokenizer 3.4.1 prints with
// -preserveLines -lowerCase, less the punctuation that the scorers throw away. ROUGE-L, CIDEr and
// METEOR of the E2E challenge read these.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mtlora {

/// "It's cheap (under £20)." → it 's cheap -lrb- under # 20 -rrb-. Quotes, full stops, commas,
/// colons, dashes, question and exclamation marks are gone; brackets stay, as the scorers compare
/// them with -LRB- after they were lower-cased.
std::vector<std::string> ptb_words(std::string_view text);

}  // namespace mtlora
