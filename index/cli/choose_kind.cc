#include "index/cli/choose_kind.h"

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "index/cli/change_index.h"
#include "index/cli/command.h"
#include "index/cli/open_index.h"
#include "index/cli/output.h"
#include "index/cli/progress.h"
#include "index/cli/save_profile.h"
#include "index/cli/try_kinds.h"
#include "index/tune/measure.h"
#include "index/tune/view_subject.h"

namespace mrl::cli {
namespace {

constexpr char kScan[] = "scan";
constexpr char kProfile[] = "built";
constexpr uint32_t kK = 10;
constexpr size_t kQueries = 200;
constexpr size_t kTimingRounds = 3;
constexpr uint64_t kSeed = 1;

// A kind at the least effort that finds as much as a scan, or at the most that was tried.
struct Tried {
  std::string kind;
  funnel::Plan plan;
  double recall = 0;
  bool reached = false;
  double millis = 0, scan_millis = 0;  // a query of it, and of the cheapest scan; where it reached
};

// The plan that searches would get, were `kind` the active one; with `stages` instead of the
// built-in rule's where there are any.
absl::StatusOr<funnel::Plan> PlanOf(const collection::Collection& collection,
                                    const std::string& kind, coarse::Params params = {},
                                    std::vector<funnel::Stage> stages = {}) {
  funnel::PlanInput input = collection.plan_input(kind);
  input.k = kK;
  input.funnel = funnel::Funnel{kind, std::move(params), std::move(stages)};
  return funnel::MakePlan(input);
}

class Choice {
 public:
  Choice(std::string index, const ChooseOptions& options)
      : index_(std::move(index)), threads_(options.threads), out_(options.out) {}

  absl::Status Run() {
    MRL_RETURN_IF_ERROR(Start());
    const TryOptions options = {.kinds = {"ivf_scan"}, .activate = false, .threads = threads_};
    MRL_RETURN_IF_ERROR(
        TryKinds(index_, options, [this](const std::string& kind) { return Look(kind); }));
    if (best_.has_value()) MRL_RETURN_IF_ERROR(Use(*best_));
    Print();
    return absl::OkStatus();
  }

 private:
  // Of an opened collection, with the truth that Start() found.
  tune::Subject SubjectOf(const collection::Collection& collection) const {
    tune::Subject subject =
        tune::MakeSubject(collection.view(), collection.plan_input(), queries_, Interrupted);
    subject.truth = truth_;
    return subject;
  }

  absl::StatusOr<double> Recall(const tune::Subject& subject, const funnel::Plan& plan) const {
    MRL_ASSIGN_OR_RETURN(const std::vector<double> recalls,
                         tune::MeasureRecalls(subject, plan, all_, kK, threads_));
    return tune::Mean(recalls);
  }

  absl::Status Start() {
    MRL_ASSIGN_OR_RETURN(const OpenedIndex opened, OpenIndex(index_));
    const collection::Collection& collection = *opened.collection;
    MRL_ASSIGN_OR_RETURN(queries_, tune::SampleQueries(collection.view(), kQueries, kSeed));
    all_.resize(queries_.rows());
    std::iota(all_.begin(), all_.end(), size_t{0});
    tune::Subject subject = SubjectOf(collection);
    MRL_RETURN_IF_ERROR(tune::FindTruth(collection.view(), queries_, kK, threads_, Interrupted,
                                        ShowParts(), &subject));
    truth_ = std::move(subject.truth);
    MRL_ASSIGN_OR_RETURN(scan_, PlanOf(collection, kScan));
    MRL_ASSIGN_OR_RETURN(recall_, Recall(SubjectOf(collection), scan_));
    return absl::OkStatus();
  }

  // Whether a kind that was built is better than all before it.
  absl::StatusOr<bool> Look(const std::string& kind) {
    MRL_ASSIGN_OR_RETURN(const OpenedIndex opened, OpenIndex(index_));
    const collection::Collection& collection = *opened.collection;
    const tune::Subject subject = SubjectOf(collection);
    Tried tried = {.kind = kind, .plan = {}};
    // Efforts increase, so the first that finds enough is the cheapest.
    for (const coarse::Params& params : tune::ParamsToTry(collection.view(), kind)) {
      MRL_ASSIGN_OR_RETURN(tried.plan, PlanOf(collection, kind, params));
      MRL_ASSIGN_OR_RETURN(tried.recall, Recall(subject, tried.plan));
      tried.reached = tried.recall >= recall_;
      if (tried.reached) break;
    }
    if (tried.reached) MRL_RETURN_IF_ERROR(Time(collection, subject, &tried));
    tried_.push_back(tried);
    const double best_share = best_.has_value() ? best_->millis / best_->scan_millis : 1;
    if (!tried.reached || tried.millis >= kWorthBuilding * best_share * tried.scan_millis) {
      return false;
    }
    best_ = std::move(tried);
    return true;
  }

  // Beside scans in the same turns: the built-in rule's, and the one with the kind's own stages
  // where it finds as much, so that an index gets no credit for what its stages save.
  absl::Status Time(const collection::Collection& collection, const tune::Subject& subject,
                    Tried* tried) const {
    std::vector<funnel::Plan> plans = {tried->plan, scan_};
    MRL_ASSIGN_OR_RETURN(const funnel::Plan same_stages,
                         PlanOf(collection, kScan, {}, tried->plan.stages));
    if (same_stages != scan_) {
      MRL_ASSIGN_OR_RETURN(const double recall, Recall(subject, same_stages));
      if (recall >= recall_) plans.push_back(same_stages);
    }
    MRL_ASSIGN_OR_RETURN(const auto millis,
                         tune::MeasureMillis(subject, plans, all_, kTimingRounds));
    tried->millis = tune::Mean(millis[0]);
    tried->scan_millis = tune::Mean(millis[1]);
    if (millis.size() > 2) {
      tried->scan_millis = std::min(tried->scan_millis, tune::Mean(millis[2]));
    }
    return absl::OkStatus();
  }

  absl::Status Use(const Tried& best) const {
    const std::string note = absl::StrFormat(
        "chosen by the build: recall@%d %.4f of %d of its rows, a scan's is %.4f; %.3f ms, a scan "
        "takes %.3f",
        kK, best.recall, queries_.rows(), recall_, best.millis, best.scan_millis);
    MRL_RETURN_IF_ERROR(
        SaveProfile(index_, best.plan, {.name = kProfile, .note = note, .make_default = true})
            .status());
    return ChangeIndex(
        index_, [&best](collection::LiveCollection& live) { return live.UseIndex(best.kind); });
  }

  void Print() const {
    std::fprintf(
        out_, "%s: by %zu of its rows, each left out of its own result, recall@%u is %.4f by %s\n",
        index_.c_str(), queries_.rows(), kK, recall_, scan_.ToText().c_str());
    std::vector<std::vector<std::string>> table = {
        {"funnel", absl::StrCat("recall@", kK), "ms a query", "by a scan", ""}};
    for (const Tried& tried : tried_) {
      const bool is_best = best_.has_value() && best_->kind == tried.kind;
      table.push_back({tried.plan.ToText(), absl::StrFormat("%.4f", tried.recall),
                       tried.reached ? absl::StrFormat("%.3f", tried.millis) : "-",
                       tried.reached ? absl::StrFormat("%.3f", tried.scan_millis) : "-",
                       is_best         ? "kept"
                       : tried.reached ? "costs too much"
                                       : "finds too little"});
    }
    if (!tried_.empty()) PrintTable(table, out_);
    if (best_.has_value()) {
      std::fprintf(out_, "coarse index %s: active, its funnel is the default profile `%s`\n",
                   best_->kind.c_str(), kProfile);
    } else {
      std::fputs("coarse index scan: nothing else is worth an index here\n", out_);
    }
  }

  const std::string index_;
  const uint32_t threads_;
  std::FILE* const out_;
  tune::ViewQueries queries_;
  std::vector<size_t> all_;  // numbers of the queries
  std::vector<std::vector<tune::Scored>> truth_;
  funnel::Plan scan_;  // the built-in rule
  double recall_ = 0;  // of scan_
  std::vector<Tried> tried_;
  std::optional<Tried> best_;
};

}  // namespace

absl::Status ChooseKind(const std::string& index, uint64_t rows, const ChooseOptions& options) {
  if (rows <= options.above) {
    std::fprintf(options.out,
                 "coarse index scan: ivf_scan is tried above %llu rows (--choose-above)\n",
                 static_cast<unsigned long long>(options.above));
    return absl::OkStatus();
  }
  return Annotate(Choice(index, options).Run(),
                  absl::StrCat(index, " is built and scans, no other coarse index was chosen"));
}

}  // namespace mrl::cli
