#include "lib/core/options.h"

#include <algorithm>

#include "lib/decoding/search.h"

namespace mtlora {

void DecodingOptions::fields(Fields& f) {
  f("decoder", decoder,
    "How tokens are chosen: \"reference\", the beam search behind LoRA's and MTLoRA's published "
    "data-to-text numbers; \"beam\", Hugging Face's beam search; \"greedy\"; \"sample\".",
    one_of({"reference", "beam", "greedy", "sample"}));
  f("beams", beams, "Beams of a beam search.", within(1, 1'000'000));
  f("max_new_tokens", max_new_tokens, "Tokens after the prompt, an end token included, at most.",
    at_least(1));
  f("no_repeat_ngram", no_repeat_ngram,
    "No sequence of so many tokens comes twice (0: any may): in what is generated, for the "
    "reference; in prompt and generated tokens, for the other decoders.",
    at_least(0));
  f("length_penalty", length_penalty,
    "A beam search divides a sum of log-probabilities by its number of tokens to this power.",
    between(-10, 10));
  f("early_stopping", early_stopping,
    "When the beam search \"beam\" ends: \"heuristic\", when `beams` ends are found and the best "
    "beam is no better at its present length (Hugging Face's false); \"full\", when `beams` ends "
    "are found (true); \"never\", when no beam can become better (\"never\"). The reference always "
    "finds what searching to the last step would.",
    one_of({"heuristic", "full", "never"}));
  f("temperature", temperature, "Sampling: logits are divided by it.", between(1e-6, 1e6));
  f("top_k", top_k, "Sampling: only so many best tokens (0: all).", at_least(0));
  f("top_p", top_p, "Sampling: only the fewest best tokens whose probabilities reach this sum.",
    between(0, 1));
  f("seed", seed, "Sampling: decides, with the prompt's tokens, what is drawn.", at_least(0));
}

bool EndTokens::contains(int32_t token) const {
  return std::find(ids.begin(), ids.end(), token) != ids.end();
}

}  // namespace mtlora
