#include "index/tune/layer_grid.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/for_each.h"
#include "base/status.h"

namespace mrl::tune {
namespace {

absl::Status Check(const LayerGridInput& input) {
  if (input.layers.empty()) return absl::InvalidArgumentError("there are no layers");
  const Layer& last = input.layers.back();
  for (const Layer& layer : input.layers) {
    const auto check = [&](const char* what, const Matrix& mine,
                           const Matrix& of_last) -> absl::Status {
      if (mine.rows == of_last.rows && mine.dim == of_last.dim) return absl::OkStatus();
      return absl::InvalidArgumentError(absl::StrCat("layer ", layer.name, " has ", mine.rows, " ",
                                                     what, " of ", mine.dim, " dimensions, layer ",
                                                     last.name, " has ", of_last.rows, " of ",
                                                     of_last.dim, "; they must agree"));
    };
    MRL_RETURN_IF_ERROR(check("rows", layer.documents, last.documents));
    MRL_RETURN_IF_ERROR(check("queries", layer.queries, last.queries));
  }
  if (last.queries.rows == 0 || input.k == 0 || input.k >= last.documents.rows) {
    return absl::InvalidArgumentError(absl::StrCat("k is ", input.k, "; it goes from 1 to ",
                                                   last.documents.rows - 1,
                                                   ", one less than there are vectors"));
  }
  return absl::OkStatus();
}

class Comparer {
 public:
  Comparer(const LayerGridInput& input, const ProgressFn& progress)
      : input_(input), progress_(progress), queries_(input.layers.back().queries.rows) {
    for (const Layer& layer : input.layers) {
      scorers_.emplace_back(layer.documents, input.ladder, input.metric);
      grid_.layers.push_back(layer.name);
    }
    grid_.dims = input.ladder;
    grid_.recall.assign(scorers_.size(), std::vector<double>(input.ladder.size()));
    grid_.cross.assign(scorers_.size(), std::vector<double>(scorers_.size()));
  }

  absl::StatusOr<LayerGrid> Run() {
    MRL_RETURN_IF_ERROR(
        ForEach(queries_, input_.threads, [this](size_t query) { return One(query); }));
    return std::move(grid_);
  }

 private:
  absl::Status One(size_t query) {
    const size_t own = input_.own_rows.empty() ? kNoRow : input_.own_rows[query];
    const size_t rows = scorers_.back().rows();
    const size_t last = input_.ladder.size() - 1;
    std::vector<std::vector<std::vector<float>>> keys(scorers_.size());  // [queries][documents]
    for (size_t of = 0; of < scorers_.size(); ++of) {
      for (const PrefixScorer& scorer : scorers_) {
        keys[of].push_back(scorer.Keys(input_.layers[of].queries.row(query)));
      }
    }
    const auto at = [&](size_t of, size_t in, size_t level) {
      return absl::MakeConstSpan(keys[of][in]).subspan(level * rows, rows);
    };
    const std::vector<uint32_t> truth =
        TopRows(at(scorers_.size() - 1, scorers_.size() - 1, last), input_.k, own);
    const auto recall = [&](size_t of, size_t in, size_t level) {
      const std::vector<uint32_t> ranks = RanksOf(at(of, in, level), truth, own);
      const auto found = std::count_if(ranks.begin(), ranks.end(),
                                       [this](uint32_t rank) { return rank < input_.k; });
      return static_cast<double>(found) / static_cast<double>(truth.size() * queries_);
    };
    absl::MutexLock lock(&mutex_);
    for (size_t of = 0; of < scorers_.size(); ++of) {
      for (size_t level = 0; level <= last; ++level) {
        grid_.recall[of][level] += recall(of, of, level);
      }
      for (size_t in = 0; in < scorers_.size(); ++in) grid_.cross[of][in] += recall(of, in, last);
    }
    ++done_;
    if (progress_) progress_("comparing layers", done_, queries_);
    return absl::OkStatus();
  }

  const LayerGridInput& input_;
  const ProgressFn& progress_;
  const size_t queries_;
  std::vector<PrefixScorer> scorers_;
  absl::Mutex mutex_;
  uint64_t done_ = 0;
  LayerGrid grid_;
};

}  // namespace

absl::StatusOr<LayerGrid> CompareLayers(const LayerGridInput& input, const ProgressFn& progress) {
  MRL_RETURN_IF_ERROR(Check(input));
  return Comparer(input, progress).Run();
}

}  // namespace mrl::tune
