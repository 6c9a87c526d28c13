#include "index/tune/chains.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include "base/check.h"

namespace mrl::tune {
namespace {

using Mask = std::vector<uint64_t>;  // a bit per pair

constexpr double kKeepGrowth = 1.25;

Mask Within(const Ranks& ranks, uint32_t keep) {
  Mask mask((ranks.size() + 63) / 64);
  for (size_t i = 0; i < ranks.size(); ++i) {
    if (ranks[i] < keep) mask[i / 64] |= uint64_t{1} << (i % 64);
  }
  return mask;
}

size_t Count(const Mask& mask) {
  size_t count = 0;
  for (const uint64_t word : mask) count += static_cast<size_t>(std::popcount(word));
  return count;
}

size_t CountBoth(const Mask& a, const Mask& b) {
  size_t count = 0;
  for (size_t i = 0; i < a.size(); ++i) count += static_cast<size_t>(std::popcount(a[i] & b[i]));
  return count;
}

Mask Both(const Mask& a, const Mask& b) {
  Mask both(a.size());
  for (size_t i = 0; i < a.size(); ++i) both[i] = a[i] & b[i];
  return both;
}

// Depth-first over stages and keeps, short keeps first. A branch ends where too few pairs are left,
// where it costs more than the slack allows whatever follows, and where the best chain of the same
// stages is as cheap before the branch has ended.
class Explorer {
 public:
  Explorer(const ChainInput& input, double target)
      : input_(input),
        needed_(static_cast<size_t>(std::ceil(target * static_cast<double>(input.pairs) - 1e-9))) {
    uint64_t keep_max = input.k;
    for (const CoarseOption& option : input.coarse) {
      keep_max = std::max<uint64_t>(keep_max, option.stage.keep);
    }
    grid_ = KeepGrid(input.k, std::min(keep_max, std::max<uint64_t>(input.rows, 1)));
    for (const RerankOption& option : input.reranks) {
      auto& masks = masks_.emplace_back();
      if (option.ranks.empty()) continue;
      for (const uint32_t keep : grid_) masks.push_back(Within(option.ranks, keep));
    }
  }

  void Run() {
    for (size_t i = 0; i < input_.coarse.size(); ++i) {
      const CoarseOption& option = input_.coarse[i];
      for (size_t at = 0; at < grid_.size() && grid_[at] <= option.stage.keep; ++at) {
        Node node;
        node.alive = Within(option.ranks, grid_[at]);
        if (Count(node.alive) < needed_) continue;
        node.chain.coarse = i;
        node.chain.keeps = {grid_[at]};
        node.chain.micros = option.MicrosAt(grid_[at]);
        if (node.chain.micros > limit()) break;
        node.keep_at = at;
        node.bits = BitsRead(*input_.schema, option.stage);
        Finish(node, Count(node.alive));
        Branch(node);
      }
    }
  }

  std::vector<Chain> Take(size_t count) {
    std::vector<Chain> chains;
    for (auto& [stages, chain] : best_) {
      if (chain.micros <= limit()) chains.push_back(std::move(chain));
    }
    std::sort(chains.begin(), chains.end(),
              [](const Chain& a, const Chain& b) { return a.micros < b.micros; });
    if (chains.size() > count) chains.resize(count);
    return chains;
  }

 private:
  struct Node {
    Chain chain;
    Mask alive;
    size_t keep_at = 0;  // index into the grid of the last keep
    int level = -1;      // last stored level that is summed up
    uint64_t bits = 0;
  };

  double limit() const { return cheapest_ * input_.slack; }

  double RerankMicros(const RerankOption& option, int level_done, double rows) const {
    if (option.level < 0) return option.cost.At(rows);
    double micros = 0;
    double fixed = 0;
    for (int level = level_done + 1; level <= option.level; ++level) {
      const LinearCost& cost = input_.levels[static_cast<size_t>(level)];
      fixed = std::max(fixed, cost.fixed_us);
      micros += cost.per_row_us * rows;
    }
    return fixed + micros;
  }

  // Offers the chain that goes from here to the final stage.
  void Finish(const Node& node, size_t alive) {
    const RerankOption& final_stage = input_.reranks.back();
    Chain finished = node.chain;
    // A coarse search of the final prefix at stored precision has the answer already.
    if (node.bits < BitsRead(*input_.schema, final_stage.stage)) {
      finished.micros += RerankMicros(final_stage, node.level, grid_[node.keep_at]);
      finished.reranks.push_back(input_.reranks.size() - 1);
    } else if (node.keep_at != 0) {
      return;
    }
    finished.survival = static_cast<double>(alive) / static_cast<double>(input_.pairs);
    Offer(std::move(finished));
  }

  void Branch(const Node& node) {
    if (node.chain.reranks.size() >= input_.middle_stages_max) return;
    for (size_t i = 0; i + 1 < input_.reranks.size(); ++i) Descend(node, i);
  }

  // The first place of the grid below `end` whose keep leaves enough pairs; `end` when none does.
  size_t FirstEnough(const Mask& alive, size_t rerank, size_t end) const {
    size_t low = 0;
    size_t high = end;
    while (low < high) {
      const size_t middle = (low + high) / 2;
      if (CountBoth(alive, masks_[rerank][middle]) >= needed_) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }

  // Goes through the re-rank stage `rerank` with every keep that may be worth it.
  void Descend(const Node& node, size_t rerank) {
    const RerankOption& option = input_.reranks[rerank];
    const uint64_t bits = BitsRead(*input_.schema, option.stage);
    if (bits <= node.bits) return;
    Node next;
    next.chain = node.chain;
    next.chain.micros += RerankMicros(option, node.level, grid_[node.keep_at]);
    if (next.chain.micros > limit()) return;
    next.chain.reranks.push_back(rerank);
    next.chain.keeps.push_back(0);
    next.level = option.level < 0 ? node.level : option.level;
    next.bits = bits;
    const bool is_leaf = next.chain.reranks.size() >= input_.middle_stages_max;
    if (is_leaf && next.chain.micros >= BestOf(next.chain)) return;
    for (size_t at = FirstEnough(node.alive, rerank, node.keep_at); at < node.keep_at; ++at) {
      next.chain.keeps.back() = grid_[at];
      next.keep_at = at;
      // Of the chains that end after this stage the shortest keep is the cheapest.
      if (is_leaf) return Finish(next, CountBoth(node.alive, masks_[rerank][at]));
      next.alive = Both(node.alive, masks_[rerank][at]);
      Finish(next, Count(next.alive));
      Branch(next);
    }
  }

  using Stages = std::vector<size_t>;  // re-rank options, then the coarse option

  // What the chain of these stages and the final one costs so far.
  double BestOf(const Chain& before_final) const {
    Stages stages = before_final.reranks;
    stages.push_back(input_.reranks.size() - 1);
    stages.push_back(before_final.coarse);
    const auto place = best_.find(stages);
    return place == best_.end() ? std::numeric_limits<double>::infinity() : place->second.micros;
  }

  void Offer(Chain chain) {
    if (chain.micros > limit()) return;
    cheapest_ = std::min(cheapest_, chain.micros);
    Stages stages = chain.reranks;
    stages.push_back(chain.coarse);
    const auto [place, is_new] = best_.try_emplace(std::move(stages), chain);
    if (!is_new && chain.micros < place->second.micros) place->second = std::move(chain);
  }

  const ChainInput& input_;
  const size_t needed_;
  std::vector<uint32_t> grid_;
  std::vector<std::vector<Mask>> masks_;  // by re-rank option and place in the grid
  std::map<Stages, Chain> best_;
  double cheapest_ = std::numeric_limits<double>::infinity();
};

}  // namespace

double CoarseOption::MicrosAt(uint32_t keep) const {
  CHECK(!costs.empty());
  const auto above = std::find_if(costs.begin(), costs.end(),
                                  [keep](const KeepCost& cost) { return cost.keep >= keep; });
  if (above == costs.begin()) return above->micros;
  if (above == costs.end()) return costs.back().micros;
  const KeepCost& below = *(above - 1);
  const double share =
      static_cast<double>(keep - below.keep) / static_cast<double>(above->keep - below.keep);
  return below.micros + share * (above->micros - below.micros);
}

uint64_t BitsRead(const Schema& schema, const funnel::Stage& stage) {
  const uint64_t bits = stage.bits != 0 ? stage.bits : 8 * ElementBytes(schema.storage);
  return stage.dims * bits;
}

std::vector<uint32_t> KeepGrid(uint32_t k, uint64_t keep_max) {
  std::vector<uint32_t> grid = {k};
  while (true) {
    const auto grown = static_cast<uint64_t>(std::ceil(grid.back() * kKeepGrowth));
    if (grown >= keep_max) break;
    grid.push_back(static_cast<uint32_t>(grown));
  }
  if (keep_max > grid.back()) grid.push_back(static_cast<uint32_t>(keep_max));
  return grid;
}

std::vector<Chain> CheapestChains(const ChainInput& input, double target, size_t count) {
  CHECK(input.schema != nullptr && !input.reranks.empty() && input.pairs > 0);
  Explorer explorer(input, target);
  explorer.Run();
  return explorer.Take(count);
}

funnel::Funnel ToFunnel(const ChainInput& input, const Chain& chain) {
  const CoarseOption& coarse = input.coarse[chain.coarse];
  funnel::Funnel funnel = {.kind = coarse.kind, .params = coarse.params, .stages = {coarse.stage}};
  for (const size_t rerank : chain.reranks) funnel.stages.push_back(input.reranks[rerank].stage);
  for (size_t i = 0; i < funnel.stages.size(); ++i) {
    funnel.stages[i].keep = i < chain.keeps.size() ? chain.keeps[i] : input.k;
  }
  return funnel;
}

}  // namespace mrl::tune
