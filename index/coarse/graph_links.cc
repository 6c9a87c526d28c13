#include "index/coarse/graph_links.h"

#include <faiss/IndexBinaryHNSW.h>

#include <algorithm>
#include <exception>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/coarse/exact_scan.h"
#include "index/coarse/faiss_version.h"
#include "index/coarse/graph.h"
#include "index/coarse/omp_threads.h"

namespace mrl::coarse {
namespace {

constexpr uint32_t kSignLinks = 32;
constexpr int kEfConstruction = 80;  // with 40, what is refined ends at a recall of 0.98
constexpr size_t kRowsBetweenPolls = 10'000;
constexpr int kBaseLayer = 0;

void CopyLinks(const faiss::HNSW& graph, uint32_t rows, GraphLinks& links) {
  for (size_t row = 0; row < rows; ++row) {
    size_t begin = 0;
    size_t end = 0;
    graph.neighbor_range(static_cast<FaissId>(row), kBaseLayer, &begin, &end);
    uint32_t* out = links.rows.As<uint32_t>() + row * links.degree;
    for (size_t i = begin; i < end && graph.neighbors[i] >= 0; ++i) {
      *out++ = static_cast<uint32_t>(graph.neighbors[i]);
    }
  }
}

}  // namespace

absl::StatusOr<GraphLinks> LinkBySigns(const GraphCodes& codes, uint32_t rows,
                                       const BuildContext& context) {
  const size_t row_words = BitWords(codes.code);
  const auto* words = codes.words.As<uint64_t>();
  MRL_ASSIGN_OR_RETURN(GraphLinks links, GraphLinks::Make(rows, kSignLinks));
  const OmpThreads threads(static_cast<int>(context.threads));
  try {
    // FAISS gives the base layer twice as many links as it is asked for.
    faiss::IndexBinaryHNSW index(static_cast<int>(64 * row_words),
                                 static_cast<int>(kSignLinks / 2));
    index.hnsw.efConstruction = kEfConstruction;
    for (size_t row = 0; row < rows; row += kRowsBetweenPolls) {
      if (IsStopped(context.stopped)) return absl::CancelledError("graph: the build was stopped");
      const size_t count = std::min<size_t>(kRowsBetweenPolls, rows - row);
      index.add(static_cast<FaissId>(count),
                reinterpret_cast<const uint8_t*>(words + row * row_words));
    }
    CopyLinks(index.hnsw, rows, links);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("graph: linking rows: out of memory");
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("graph: linking rows: ", error.what()));
  }
  return links;
}

}  // namespace mrl::coarse
