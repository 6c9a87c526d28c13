// Which prefix a product quantiser's bytes are best spent on.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "index/coarse/index_spec.h"
#include "index/store/segment.h"

namespace mrl::coarse {

// Whether a FAISS factory string has a product quantiser, such as `OPQ32,PQ32` or `HNSW32_PQ16`.
bool HasProductQuantiser(absl::string_view factory);

// The step of the ladder whose prefixes, in the product quantiser of `factory`, lead to most of the
// true neighbours at full dimension; of equals the shortest. AdANNS-OPQ ("AdANNS: A Framework for
// Adaptive Semantic Search", NeurIPS 2023, section 4.2): so many bytes describe a short prefix
// finely or a long one coarsely, and which is better depends on the vectors and on the bytes.
//
// Measured on up to 8,192 rows spread over the segment, up to 200 of them as queries that may not
// find themselves: the share of their ten nearest in shortlists of a hundred. Only transforms and
// quantiser are built for it, with a random rotation for a learned one (OPQ), which takes minutes a
// step; lists, whose rows are coded by what their centre leaves, and graphs are left out.
//
// `factory` has a product quantiser. INVALID_ARGUMENT where no step can hold it or the rows are too
// few to train it (256 for 8 bits), DATA_LOSS of cold levels, CANCELLED when stopped.
absl::StatusOr<uint32_t> ChooseFaissDims(const store::Segment& segment, const std::string& factory,
                                         const BuildContext& context);

}  // namespace mrl::coarse
