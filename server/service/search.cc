#include "server/service/search.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/funnel/stepped.h"
#include "index/tune/recall.h"
#include "index/tune/view_subject.h"
#include "server/limits.h"
#include "server/rpc/error.h"
#include "server/service/asked.h"
#include "server/service/convert.h"
#include "server/service/grouping.h"

namespace mrl::server {
namespace {

// The deadline, less what a reply takes.
constexpr std::chrono::milliseconds kReplyReserve{2};

// Searches for more and more points until the groups are full.
absl::Status SearchGroups(const Registry& registry, JoinedSearch& call) {
  v1::SearchRequest request = call.request;
  MRL_ASSIGN_OR_RETURN(const auto collection, registry.Find(request.collection()));
  MRL_ASSIGN_OR_RETURN(Grouping grouping, Grouping::Make(request.options(), collection->schema()));
  double micros = 0;
  while (true) {
    request.mutable_options()->set_k(grouping.fetch());
    MRL_ASSIGN_OR_RETURN(const Asked asked, Ask(registry, request));
    const funnel::TileQuery query = ToTile(call.call, asked.query);
    auto output = funnel::Run(asked.view(), asked.plan(), query.query, query.options);
    MRL_RETURN_IF_ERROR(WithField(output.status(), "vector"));
    micros += output->trace.micros;
    output->trace.micros = micros;
    const size_t found = output->hits.size();
    MRL_RETURN_IF_ERROR(grouping.Take(asked.view(), &output->hits));
    if (!grouping.full() && found == grouping.fetch() && grouping.Widen()) continue;
    MRL_RETURN_IF_ERROR(Reply(call.call, request, asked, output, call.response));
    grouping.Label(asked.view(), call.response);
    return absl::OkStatus();
  }
}

// Searches that a filter narrows, and exact ones, are no measure of a profile.
void OfferShadow(const SearchContext& context, const v1::SearchRequest& request, const Asked& asked,
                 const funnel::Output& output) {
  const funnel::ProfileSet& profiles = asked.collection->profiles();
  if (profiles.shadow_share <= 0 || asked.narrowed || asked.plan().exact) return;
  const auto entry = context.registry.Get(request.collection());
  if (!entry.ok() || !context.shadow.IsNext(entry->path.name, profiles)) return;
  context.shadow.Take({.collection = entry->path.name,
                       .version = asked.collection,
                       .query = asked.query.vector,
                       .leave_out = asked.query.leave_out,
                       .plan = asked.plan(),
                       .hits = output.hits});
}

// Whether the option `name`, that `share` of the result is to stay, is in order and goes with the
// others.
absl::Status CheckShortcut(const v1::SearchOptions& options, const char* name, double share) {
  const std::string field = absl::StrCat("options.", name);
  if (!(share > 0 && share <= 1)) {
    return InvalidField(field, absl::StrCat(name, " is ", share, "; above 0 to 1 is accepted"));
  }
  const bool both = options.has_early_exit() && options.has_adaptive_keep();
  const char* other = both                                                ? "adaptive_keep"
                      : options.anytime()                                 ? "anytime"
                      : options.has_filter() || options.has_filter_tree() ? "a filter"
                      : options.has_exact() && options.exact()            ? "exact search"
                                                                          : nullptr;
  if (other == nullptr) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(name, " does not go with ", other));
}

absl::Status CheckShortcuts(const v1::SearchOptions& options) {
  if (options.has_early_exit()) {
    MRL_RETURN_IF_ERROR(CheckShortcut(options, "early_exit", options.early_exit()));
  }
  if (!options.has_adaptive_keep()) return absl::OkStatus();
  return CheckShortcut(options, "adaptive_keep", options.adaptive_keep());
}

// Ask for a search of any kind but groups.
absl::StatusOr<Asked> AskWith(const SearchContext& context, const JoinedSearch& one) {
  const v1::SearchOptions& options = one.request.options();
  MRL_RETURN_IF_ERROR(CheckShortcuts(options));
  MRL_ASSIGN_OR_RETURN(Asked asked, Ask(context.registry, one.request));
  if (!options.has_adaptive_keep()) return asked;
  MRL_RETURN_IF_ERROR(context.keeps.Learn(
      options.adaptive_keep(), [&one] { return one.call.stopped(); }, &asked));
  return asked;
}

// The end of a search that went the way of all.
absl::Status Answer(const SearchContext& context, JoinedSearch& one, const Asked& asked,
                    const absl::StatusOr<funnel::Output>& output) {
  MRL_RETURN_IF_ERROR(Reply(one.call, one.request, asked, output, one.response));
  if (asked.keeps == nullptr) {
    OfferShadow(context, one.request, asked, *output);
    return absl::OkStatus();
  }
  MRL_ASSIGN_OR_RETURN(const Registry::Entry entry, context.registry.Get(one.request.collection()));
  context.keeps.Note(entry.path.name, asked, *output);
  if (asked.keeps->kept) {
    one.response->mutable_stats()->set_adaptive_keep_recall(*asked.keeps->kept);
  }
  return absl::OkStatus();
}

// One search that returns what it has when its deadline comes.
absl::Status RunAnytime(const JoinedSearch& one, const Asked& asked) {
  Call& call = one.call;
  funnel::RunOptions options;
  options.leave_out = asked.query.leave_out;
  options.helpers = call.helpers();
  options.stopped = [&call] {
    return call.stopped() || std::chrono::system_clock::now() + kReplyReserve >= call.deadline();
  };
  auto output = funnel::RunStepped(asked.view(), asked.plan(), asked.query.vector, options,
                                   {.after = {}, .anytime = true, .watched = 0});
  if (absl::IsCancelled(output.status()) && !call.stopped()) {
    return absl::DeadlineExceededError("the deadline came before the first stage had ended");
  }
  if (!output.ok()) return WithField(output.status(), "vector");
  const bool cut = output->cut;
  MRL_RETURN_IF_ERROR(Reply(call, one.request, asked, std::move(output->output), one.response));
  one.response->mutable_stats()->set_degraded(cut);
  return absl::OkStatus();
}

absl::Status RunEarlyExit(const SearchContext& context, const JoinedSearch& one,
                          const Asked& asked) {
  MRL_ASSIGN_OR_RETURN(const Registry::Entry entry, context.registry.Get(one.request.collection()));
  const funnel::TileQuery query = ToTile(one.call, asked.query);
  auto exited = context.exits.Run(entry.path.name, asked.collection, asked.plan(), query.query,
                                  query.options, one.request.options().early_exit());
  if (!exited.ok()) return WithField(exited.status(), "vector");
  MRL_RETURN_IF_ERROR(Reply(one.call, one.request, asked, std::move(exited->output), one.response));
  v1::SearchStats* stats = one.response->mutable_stats();
  stats->set_early_exit_stages(static_cast<uint32_t>(exited->stages));
  if (exited->kept.has_value()) stats->set_early_exit_recall(*exited->kept);
  return absl::OkStatus();
}

// Whether it is no part of a tile.
bool RunsByItself(const v1::SearchOptions& options) {
  return !options.group_by().empty() || options.anytime() || options.has_early_exit();
}

absl::Status RunAlone(const SearchContext& context, JoinedSearch& one) {
  const v1::SearchOptions& options = one.request.options();
  if (!options.group_by().empty()) {
    if (!options.anytime() && !options.has_early_exit() && !options.has_adaptive_keep()) {
      return SearchGroups(context.registry, one);
    }
    return InvalidField("options.group_by",
                        "group_by does not go with anytime, early_exit or adaptive_keep");
  }
  MRL_ASSIGN_OR_RETURN(const Asked asked, AskWith(context, one));
  if (options.anytime()) return RunAnytime(one, asked);
  if (options.has_early_exit()) return RunEarlyExit(context, one, asked);
  const funnel::TileQuery query = ToTile(one.call, asked.query);
  return Answer(context, one, asked,
                funnel::Run(asked.view(), asked.plan(), query.query, query.options));
}

// The best hits of a stage that is not the last, without what has to be read for them.
absl::Status TellStage(const v1::SearchRequest& request, const Asked& asked,
                       const funnel::Trace& trace, absl::Span<const funnel::Hit> best,
                       const std::function<void(v1::ProgressiveSearchResponse)>& tell) {
  v1::SearchOptions options = request.options();
  options.clear_with_payload();
  options.clear_with_vector();
  const HitWriter writer(*asked.collection, options);
  v1::ProgressiveSearchResponse message;
  for (const funnel::Hit& found : writer.Page(best)) {
    if (writer.Wanted(found)) MRL_RETURN_IF_ERROR(writer.Write(found, message.add_hits()));
  }
  ToProto(trace, asked.chosen, *asked.collection, message.mutable_stats());
  tell(std::move(message));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<PointId>> ReadWhyNot(const v1::ExplainSearchRequest& request) {
  const int count = request.why_not_size();
  if (static_cast<uint64_t>(count) > Limits::kWhyNotIds) {
    return InvalidField(
        "why_not", absl::StrCat("why_not has ", count, " ids; the limit is ", Limits::kWhyNotIds));
  }
  std::vector<PointId> ids;
  for (const v1::PointId& id : request.why_not()) {
    MRL_ASSIGN_OR_RETURN(PointId read, FromProto(id, "why_not"));
    ids.push_back(std::move(read));
  }
  return ids;
}

// A search beside exact search over the same rows.
struct Compared {
  std::optional<double> recall;  // unset where there is nothing to find
  std::vector<PointId> missed;   // true neighbours that it did not find, nearest first
};

absl::StatusOr<Compared> CompareExact(const Asked& asked, const funnel::TileQuery& query) {
  const funnel::View& view = asked.view();
  funnel::PlanInput input = asked.collection->plan_input();
  input.k = asked.plan().k;
  input.query_dims = static_cast<uint32_t>(query.query.size());
  input.exact = true;
  MRL_ASSIGN_OR_RETURN(const funnel::Plan exact, funnel::MakePlan(input));
  const auto truth = funnel::Run(view, exact, query.query, query.options);
  if (!truth.ok()) return WithField(truth.status(), "vector");
  const auto found = funnel::Run(view, asked.plan(), query.query, query.options);
  if (!found.ok()) return WithField(found.status(), "vector");
  Compared compared;
  if (truth->hits.empty()) return compared;
  const size_t dims = query.query.size();
  compared.recall = tune::RecallAtK(tune::ScoredHits(asked.plan(), dims, found->hits),
                                    tune::ScoredHits(exact, dims, truth->hits), exact.k,
                                    LargerIsNearer(view.schema.metric));
  for (const funnel::Hit& near : truth->hits) {
    const auto is_near = [&](const funnel::Hit& hit) { return hit.at == near.at; };
    if (std::any_of(found->hits.begin(), found->hits.end(), is_near)) continue;
    compared.missed.push_back(view.parts[near.at.part].segment->Id(near.at.row));
  }
  return compared;
}

}  // namespace

absl::Status RunProgressive(const Registry& registry, Call& call, const v1::SearchRequest& request,
                            const std::function<void(v1::ProgressiveSearchResponse)>& tell) {
  MRL_RETURN_IF_ERROR(ExpectPlainOptions(request.options()));
  MRL_ASSIGN_OR_RETURN(const Asked asked, Ask(registry, request));
  const funnel::TileQuery query = ToTile(call, asked.query);
  funnel::Trace seen;
  absl::Status failed;
  funnel::SteppedOptions stepped;
  stepped.after = [&](size_t stage, const funnel::StageTrace& trace,
                      absl::Span<const funnel::Hit> best) {
    seen.stages.push_back(trace);
    seen.multiply_adds += trace.candidates_in * trace.dims;
    const bool is_last = stage + 1 == asked.plan().stages.size();
    if (!is_last) failed = TellStage(request, asked, seen, best, tell);
    return failed.ok() ? funnel::Next::kGoOn : funnel::Next::kEnd;
  };
  auto output = funnel::RunStepped(asked.view(), asked.plan(), query.query, query.options, stepped);
  MRL_RETURN_IF_ERROR(failed);
  if (!output.ok()) return WithField(output.status(), "vector");
  v1::SearchResponse whole;
  MRL_RETURN_IF_ERROR(Reply(call, request, asked, std::move(output->output), &whole));
  v1::ProgressiveSearchResponse last;
  last.mutable_hits()->Swap(whole.mutable_hits());
  last.mutable_stats()->Swap(whole.mutable_stats());
  last.set_last(true);
  tell(std::move(last));
  return absl::OkStatus();
}

absl::Status RunExplain(const Registry& registry, Call& call,
                        const v1::ExplainSearchRequest& request,
                        v1::ExplainSearchResponse* response) {
  MRL_ASSIGN_OR_RETURN(std::vector<PointId> ids, ReadWhyNot(request));
  MRL_RETURN_IF_ERROR(ExpectPlainOptions(request.search().options()));
  MRL_ASSIGN_OR_RETURN(const Asked asked, Ask(registry, request.search()));
  funnel::TileQuery query = ToTile(call, asked.query);
  if (request.compare_exact()) {
    MRL_ASSIGN_OR_RETURN(const Compared compared, CompareExact(asked, query));
    if (compared.recall) response->set_recall(*compared.recall);
    for (const PointId& id : compared.missed) {
      if (ids.size() == Limits::kWhyNotIds) break;
      if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
    }
  }
  query.options.why_not = ids;
  const auto output = funnel::Run(asked.view(), asked.plan(), query.query, query.options);
  MRL_RETURN_IF_ERROR(Reply(call, request.search(), asked, output, response->mutable_result()));
  for (const funnel::WhyNot& point : output->trace.why_not) {
    ToProto(point, response->add_why_not());
  }
  return absl::OkStatus();
}

void RunSearches(const SearchContext& context, absl::Span<JoinedSearch> calls) {
  if (calls.size() == 1) {
    calls[0].status = RunAlone(context, calls[0]);
    return;
  }
  std::vector<absl::StatusOr<Asked>> asked;
  std::vector<bool> done(calls.size());
  for (size_t i = 0; i < calls.size(); ++i) {
    if (RunsByItself(calls[i].request.options())) {
      calls[i].status = RunAlone(context, calls[i]);
      asked.emplace_back(absl::CancelledError("it ran by itself"));
      done[i] = true;
      continue;
    }
    asked.push_back(AskWith(context, calls[i]));
    calls[i].status = asked[i].status();
    done[i] = !asked[i].ok();
  }
  for (size_t first = 0; first < calls.size(); ++first) {
    if (done[first]) continue;
    const auto& collection = asked[first]->collection;
    std::vector<size_t> tile;
    std::vector<funnel::TileQuery> queries;
    for (size_t i = first; i < calls.size() && tile.size() < funnel::kTileMax; ++i) {
      if (done[i] || asked[i]->collection != collection) continue;
      if (asked[i]->plan() != asked[first]->plan()) continue;
      // What a filter leaves is its search's own.
      if (i != first && (asked[i]->narrowed || asked[first]->narrowed)) continue;
      tile.push_back(i);
      queries.push_back(ToTile(calls[i].call, asked[i]->query));
      done[i] = true;
    }
    const auto outputs = funnel::RunTile(asked[first]->view(), asked[first]->plan(), queries);
    for (size_t i = 0; i < tile.size(); ++i) {
      JoinedSearch& one = calls[tile[i]];
      one.status = Answer(context, one, *asked[tile[i]], outputs[i]);
    }
  }
}

}  // namespace mrl::server
