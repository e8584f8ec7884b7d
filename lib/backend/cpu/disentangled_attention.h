// Disentangled attention (He et al. 2021, arXiv 2006.03654, section 3.1) of packed sequences, head
// by head:
//   score(i, j) = scale (q_i·k_j + q_i·PK[row(i - j)] + k_j·PQ[row(i - j)])
// then as in attention.h. All arithmetic is fp32.
#pragma once

#include "lib/backend/cpu/relative_positions.h"

namespace mtlora::backend::cpu {
namespace {

/// One sequence of one head: where its rows are.
struct Place {
  int64_t key, keys, query, queries, column;
};

template <class T>
Place place_of(const DisentangledInputs<T>& in, int64_t sequence, int64_t h) {
  const int64_t key = in.offsets[sequence], keys = in.offsets[sequence + 1] - key;
  return {key, keys, in.pooled ? sequence : key, in.pooled ? 1 : keys, h * in.head};
}

/// What both passes know of one sequence of one head: its rows as fp32, and its scores before
/// softmax and scale.
template <class T>
struct ScoredSequence {
  Rows<const float> q, k;
  Rows<float> scores;  // [queries, padded]
  int64_t padded;
  float* memory;  // of a shifted block

  ScoredSequence(const DisentangledInputs<T>& in, const Place& at, const DistanceTable& keys,
                 const DistanceTable& queries, Scratch& scratch)
      : padded(rounded_up(at.keys)) {
    float* transposed = scratch.take(padded * in.head);
    transpose_rows(in.k.from(at.key, at.column), at.keys, in.head, padded, transposed);
    q = as_float(in.q.from(at.query, at.column), at.queries, in.head,
                 scratch.take(padded * in.head));
    k = as_float(in.k.from(at.key, at.column), at.keys, in.head, scratch.take(padded * in.head));
    scores = {scratch.take(at.queries * padded), padded};
    memory = scratch.take(shifted_rows * (padded + 2 * lanes));
    product<false>({q.data, q.stride, 1, {transposed, padded}, at.queries, padded, in.head, 1.0F},
                   scores);
    add_position_scores<false>(q, at.queries, at.keys, keys, scores, memory);
    add_position_scores<true>(k, at.keys, at.queries, queries, scores, memory);
  }
};

inline Mask mask_of_head(Mask mask, int64_t h) {
  mask.key = head_key(mask.key, h);
  return mask;
}

template <class T>
void disentangled_forward(const DisentangledForward<T>& call) {
  const DisentangledInputs<T>& in = call.in;
  for (int64_t h = 0; h < in.heads; ++h) {
    Scratch memory(in.scratch);
    const DistanceTable keys = table_of(in.position_key, h, -1, in, memory);
    const DistanceTable queries = table_of(in.position_query, h, 1, in, memory);
    const Mask mask = mask_of_head(in.mask, h);
    for (int64_t s = 0; s < in.sequences; ++s) {
      const Place at = place_of(in, s, h);
      Scratch scratch = memory;
      const ScoredSequence<T> scored(in, at, keys, queries, scratch);
      const Rows<const float> v = as_float(in.v.from(at.key, at.column), at.keys, in.head,
                                           scratch.take(scored.padded * in.head));
      for (int64_t r = 0; r < at.queries; ++r) {
        float* row = scored.scores[r];
        probabilities_of(row, at.keys, scored.padded, in.scale,
                         call.statistics + ((at.query + r) * in.heads + h) * 2,
                         RowDropout(mask, at.query + r), row);
      }
      product<false>({scored.scores.data, scored.padded, 1, v, at.queries, in.head, at.keys, 1.0F},
                     call.out.from(at.query, at.column));
    }
  }
}

template <class T>
void store_rows(Rows<const float> from, int64_t count, int64_t head, Rows<T> to) {
  for (int64_t r = 0; r < count; ++r)
    for (int64_t c = 0; c < head; c += lanes) store(to[r] + c, load(from[r] + c));
}

template <class T>
void disentangled_backward_sequence(const DisentangledBackward<T>& call, const Place& at, int64_t h,
                                    const DistanceTable& keys, const DistanceTable& queries,
                                    Scratch scratch) {
  const DisentangledInputs<T>& in = call.in;
  const int64_t head = in.head, padded = rounded_up(at.keys), matrix = padded * head;
  const ScoredSequence<T> scored(in, at, keys, queries, scratch);
  const Rows<float> probabilities = scored.scores,
                    gradient{scratch.take(at.queries * padded), padded};
  const Rows<float> dq{scratch.take(matrix), head}, dk{scratch.take(matrix), head};
  const Rows<float> dv{scratch.take(matrix), head};
  float* v_transposed = scratch.take(matrix);
  transpose_rows(in.v.from(at.key, at.column), at.keys, head, padded, v_transposed);
  const Rows<const float> d =
      as_float(call.dout.from(at.query, at.column), at.queries, head, scratch.take(matrix));
  product<false>({d.data, d.stride, 1, {v_transposed, padded}, at.queries, padded, head, 1.0F},
                 gradient);
  const Mask mask = mask_of_head(in.mask, h);
  for (int64_t r = 0; r < at.queries; ++r)
    score_gradient(probabilities[r], gradient[r], at.keys, in.scale,
                   call.statistics + ((at.query + r) * in.heads + h) * 2,
                   RowDropout(mask, at.query + r));
  product<false>({probabilities.data, 1, padded, d, at.keys, head, at.queries, 1.0F}, dv);
  product<false>({gradient.data, padded, 1, scored.k, at.queries, head, at.keys, in.scale}, dq);
  product<false>({gradient.data, 1, padded, scored.q, at.keys, head, at.queries, in.scale}, dk);
  const Rows<const float> given{gradient.data, padded};
  position_gradients<false>(scored.q, at.queries, at.keys, in.scale, keys, given, dq,
                            scored.memory);
  position_gradients<true>(scored.k, at.keys, at.queries, in.scale, queries, given, dk,
                           scored.memory);
  store_rows({dq.data, head}, at.queries, head, call.dq.from(at.query, at.column));
  store_rows({dk.data, head}, at.keys, head, call.dk.from(at.key, at.column));
  store_rows({dv.data, head}, at.keys, head, call.dv.from(at.key, at.column));
}

template <class T>
void disentangled_backward(const DisentangledBackward<T>& call) {
  const DisentangledInputs<T>& in = call.in;
  for (int64_t h = 0; h < in.heads; ++h) {
    Scratch memory(in.scratch);
    DistanceTable keys = table_of(in.position_key, h, -1, in, memory);
    DistanceTable queries = table_of(in.position_query, h, 1, in, memory);
    if (call.dposition_key) start_gradient(keys, memory);
    if (call.dposition_query) start_gradient(queries, memory);
    for (int64_t s = 0; s < in.sequences; ++s)
      disentangled_backward_sequence(call, place_of(in, s, h), h, keys, queries, memory);
    add_gradient(keys, call.dposition_key, h, -1, in.row_of);
    add_gradient(queries, call.dposition_query, h, 1, in.row_of);
  }
}

}  // namespace
}  // namespace mtlora::backend::cpu
