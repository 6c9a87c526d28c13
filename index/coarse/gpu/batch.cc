#include "index/coarse/gpu/batch.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "index/coarse/exact_scan.h"
#include "index/coarse/gpu/batch_input.h"

namespace mrl::coarse::gpu {
namespace {

constexpr uint32_t kInt8Bits = 8;
constexpr uint32_t kBatchMax = 1024;
// Of its share of a device's batch_bytes, a batch's lists may have a half: its output is a quarter
// of its lists at most, and buffers grow to a quarter more than is asked.
constexpr uint64_t kListShare = 2;
constexpr uint32_t kRecordedQueriesMax = 16;  // above, the launches are few beside the work
constexpr int kRoundsMax = 64;                // each divides what is too much by about four

constexpr uint32_t kStepMin = 4;  // of `blocks`, one in so many is sampled at most

// The rank cannot be below a few rows, and the room for survivors is the rank times the step: so
// the largest segments have a larger sample.
uint32_t SampledBlocks(uint32_t blocks) {
  constexpr uint32_t kSmall = 32;
  constexpr uint32_t kMiddle = 192;
  constexpr uint32_t kLarge = 1024;
  constexpr uint32_t kLargeFrom = 1U << 20;
  if (blocks >= kLargeFrom) return kLarge;
  return blocks >= kStepMin * kMiddle ? kMiddle : kSmall;
}

// What a stage after the scan reads of a row.
uint64_t RowBytes(const Schema& schema, const LaterStage& stage) {
  if (stage.bits != 0) return uint64_t{stage.dims} * stage.bits / 8;
  return schema.prefix_bytes(static_cast<size_t>(schema.LevelOf(stage.dims)));
}

uint32_t DeviceKeep(const DeviceSegment& segment, uint32_t keep) {
  return std::min(keep, segment.rows());
}

class BatchRun {
 public:
  BatchRun(Workspace& workspace, const DeviceSegment& segment, const BatchPlan& plan,
           absl::Span<const float* const> queries);
  absl::StatusOr<std::vector<std::optional<Result>>> Run();

 private:
  bool bounds() const { return plan_.stages.front().bits == 0; }
  uint32_t keep(size_t stage) const { return DeviceKeep(segment_, plan_.stages[stage].keep); }
  size_t last_select() const { return plan_.stages.size() - (plan_.cut_last ? 1 : 2); }

  void TakePlaces();
  void FillInput();
  // What one of the lists is: 0 to 2 in the lists' buffer, 3 in the output.
  EntryLists List(size_t number, uint32_t capacity) const;
  EntryLists OutOf(size_t stage, size_t number) const {
    return List(stage == last_select() ? kOutput : number, keep(stage));
  }
  Entry* cuts(size_t stage) const {
    return At<Entry>(workspace_.output(), cuts_at_) + stage * count_;
  }

  void EnqueueFirst();
  void EnqueueScan(bool sample);
  void EnqueueRest();
  EntryLists EnqueueCoarse();
  void EnqueueGather(size_t stage, const EntryLists& lists);
  absl::Status Start();
  bool NeedsAnother() const;

  std::string RecordingKey() const;
  std::optional<Result> Answer(uint32_t q) const;
  void AnswerLater(uint32_t q, Result& result) const;

  template <typename T>
  static T* At(uint8_t* base, size_t at) {
    return reinterpret_cast<T*>(base + at);
  }

  static constexpr size_t kOutput = 3;

  Workspace& workspace_;
  const DeviceSegment& segment_;
  const BatchPlan& plan_;
  const absl::Span<const float* const> queries_;
  const uint32_t count_;
  const SamplePlan sample_;
  const uint64_t allowed_rows_;
  std::vector<StageInput> stages_;
  StoredInput stored_;
  std::vector<bool> refused_;

  Places input_;
  Places lists_;
  Places output_;
  size_t allowed_at_ = 0;
  size_t thresholds_at_ = 0;
  size_t outcomes_at_ = 0;
  size_t cuts_at_ = 0;
  size_t entries_at_[4] = {};
  size_t counts_at_[4] = {};
};

uint32_t LastLevel(const DeviceSegment& segment, const BatchPlan& plan) {
  return static_cast<uint32_t>(segment.segment().schema().LevelOf(plan.stages.back().dims));
}

BatchRun::BatchRun(Workspace& workspace, const DeviceSegment& segment, const BatchPlan& plan,
                   absl::Span<const float* const> queries)
    : workspace_(workspace),
      segment_(segment),
      plan_(plan),
      queries_(queries),
      count_(static_cast<uint32_t>(queries.size())),
      sample_(PlanSample(segment.rows(), DeviceKeep(segment, plan.stages.front().keep))),
      allowed_rows_(CountAllowed(plan.allowed, segment.rows())),
      stored_(segment.segment().schema(), LastLevel(segment, plan)),
      refused_(queries.size()) {
  for (size_t stage = 0; stage < plan.stages.size(); ++stage) {
    const LaterStage& asked = plan.stages[stage];
    stages_.emplace_back(segment, Code{asked.dims, asked.bits}, stage == 0, stage == 0 && bounds());
  }
  TakePlaces();
}

void BatchRun::TakePlaces() {
  for (StageInput& stage : stages_) stage.TakePlaces(input_, count_);
  stored_.TakePlaces(input_, count_);
  const size_t bitmap_bytes = BlockCount(segment_.rows()) * sizeof(uint64_t);
  allowed_at_ = input_.Take(plan_.allowed != nullptr ? bitmap_bytes : 0);
  const size_t list_bytes = size_t{count_} * sample_.capacity * sizeof(Entry);
  for (size_t list = 0; list < (bounds() ? 3 : 2); ++list)
    entries_at_[list] = lists_.Take(list_bytes);
  for (size_t list = 0; list < 2; ++list) counts_at_[list] = lists_.Take(count_ * sizeof(uint32_t));
  thresholds_at_ = lists_.Take(count_ * sizeof(Entry));
  outcomes_at_ = output_.Take(count_ * sizeof(ScanOutcome));
  cuts_at_ = output_.Take(plan_.stages.size() * count_ * sizeof(Entry));
  counts_at_[2] = output_.Take(count_ * sizeof(uint32_t));  // read back: rows that were rescored
  counts_at_[kOutput] = output_.Take(count_ * sizeof(uint32_t));
  entries_at_[kOutput] = output_.Take(size_t{count_} * keep(last_select()) * sizeof(Entry));
}

void BatchRun::FillInput() {
  uint8_t* host = workspace_.host_input();
  for (uint32_t q = 0; q < count_; ++q) {
    for (StageInput& stage : stages_) {
      if (!stage.Fill(host, q, queries_[q])) refused_[q] = true;
    }
    stored_.Fill(host, q, queries_[q]);
  }
  if (plan_.allowed != nullptr) {
    std::memcpy(host + allowed_at_, plan_.allowed, BlockCount(segment_.rows()) * sizeof(uint64_t));
  }
}

EntryLists BatchRun::List(size_t number, uint32_t capacity) const {
  uint8_t* entries = number == kOutput ? workspace_.output() : workspace_.lists();
  uint8_t* counts = number >= 2 ? workspace_.output() : workspace_.lists();
  return {.entries = At<Entry>(entries, entries_at_[number]),
          .counts = At<uint32_t>(counts, counts_at_[number]),
          .capacity = capacity};
}

void BatchRun::EnqueueScan(bool sample) {
  Stream& stream = workspace_.stream();
  const StageInput& stage = stages_.front();
  const EntryLists list = List(0, sample_.capacity);
  stream.Zero(list.counts, count_ * sizeof(uint32_t));
  ScanArgs args = {.codes = *stage.codes()};
  if (plan_.allowed != nullptr) args.allowed = At<uint64_t>(workspace_.input(), allowed_at_);
  args.block_first = sample ? sample_.step / 2 : 0;
  args.block_step = sample ? sample_.step : 1;
  args.block_count = sample ? sample_.blocks : static_cast<uint32_t>(BlockCount(segment_.rows()));
  args.queries = stage.queries(workspace_.input());
  args.query_words = stage.words(workspace_.input());
  args.word_count = stage.word_count();
  args.query_count = count_;
  args.thresholds = sample ? nullptr : At<Entry>(workspace_.lists(), thresholds_at_);
  args.out = list;
  stream.Scan(args, stage.kind() == StageKind::kInt8);
  if (!bounds()) return;
  stream.LowerBounds({.upper = list,
                      .lower = List(1, sample_.capacity).entries,
                      .blocks = stage.codes()->blocks,
                      .queries = args.queries},
                     count_);
}

// The inputs, and thresholds from a sample.
void BatchRun::EnqueueFirst() {
  Stream& stream = workspace_.stream();
  stream.CopyIn(workspace_.input(), workspace_.host_input(), input_.size());
  Entry* thresholds = At<Entry>(workspace_.lists(), thresholds_at_);
  if (sample_.blocks == 0) {
    stream.Zero(thresholds, count_ * sizeof(Entry));
    return;
  }
  EnqueueScan(true);
  SelectArgs select = {.in = List(0, sample_.capacity), .keep = sample_.rank, .seeds = 1};
  if (bounds()) select.ranked = List(1, sample_.capacity).entries;
  select.queries = stages_.front().queries(workspace_.input());
  select.cuts = thresholds;
  stream.Select(select, count_);
}

EntryLists BatchRun::EnqueueCoarse() {
  Stream& stream = workspace_.stream();
  EnqueueScan(false);
  const EntryLists found = List(0, sample_.capacity);
  SelectArgs select = {.in = found, .keep = keep(0)};
  select.queries = stages_.front().queries(workspace_.input());
  select.cuts = cuts(0);
  select.thresholds = At<Entry>(workspace_.lists(), thresholds_at_);
  select.expected = static_cast<uint32_t>(std::min<uint64_t>(keep(0), allowed_rows_));
  select.outcomes = At<ScanOutcome>(workspace_.output(), outcomes_at_);
  const EntryLists kept = OutOf(0, 1);
  if (!bounds()) {
    select.out = kept;
    stream.Select(select, count_);
    return kept;
  }
  // All that bounds cannot exclude are rescored from the stored values, and then cut.
  const EntryLists possible = List(2, sample_.capacity);
  select.ranked = List(1, sample_.capacity).entries;
  select.out = possible;
  stream.Select(select, count_);
  EnqueueGather(0, possible);
  stream.Select({.in = possible, .keep = keep(0), .out = kept, .cuts = cuts(0)}, count_);
  return kept;
}

void BatchRun::EnqueueGather(size_t number, const EntryLists& lists) {
  const StageInput& stage = stages_[number];
  if (plan_.stages[number].bits != 0) {
    workspace_.stream().GatherCodes({.lists = lists,
                                     .codes = *stage.codes(),
                                     .queries = stage.queries(workspace_.input()),
                                     .query_words = stage.words(workspace_.input()),
                                     .planes = stage.planes(workspace_.input()),
                                     .word_count = stage.word_count()},
                                    count_, lists.capacity);
    return;
  }
  const Schema& schema = segment_.segment().schema();
  workspace_.stream().GatherStored(
      {.lists = lists,
       .query_count = count_,
       .levels = segment_.level_table(),
       .last_level = stage.level(),
       .half = schema.storage == StorageType::kF16 ? 1U : 0U,
       .rule = schema.metric == Metric::kCosine         ? KeyRule::kCosine
               : schema.metric == Metric::kInnerProduct ? KeyRule::kDot
                                                        : KeyRule::kDistance,
       .inverse_norms = segment_.inverse_norms(),
       .level_count = static_cast<uint32_t>(schema.levels()),
       .queries = stored_.values(workspace_.input()),
       .inverse_query_norms = stored_.inverse_norms(workspace_.input()),
       .query_step = stored_.dims()},
      lists.capacity);
}

// The scan, the stages, and the results back.
void BatchRun::EnqueueRest() {
  Stream& stream = workspace_.stream();
  EntryLists lists = EnqueueCoarse();
  for (size_t stage = 1; stage < plan_.stages.size(); ++stage) {
    EnqueueGather(stage, lists);
    if (stage > last_select()) break;
    const EntryLists kept = OutOf(stage, stage % 2 == 0 ? 1 : 0);
    stream.Select({.in = lists, .keep = keep(stage), .out = kept, .cuts = cuts(stage)}, count_);
    lists = kept;
  }
  stream.CopyOut(workspace_.host_output(), workspace_.output(), output_.size());
}

std::string BatchRun::RecordingKey() const {
  // Of the allowed rows only this is in the steps, so most filters share a recording.
  const uint64_t expected = std::min<uint64_t>(keep(0), allowed_rows_);
  std::string key = absl::StrCat(segment_.serial(), "/", count_, "/", plan_.cut_last, "/",
                                 plan_.allowed != nullptr, "/", expected);
  for (const LaterStage& stage : plan_.stages) {
    absl::StrAppend(&key, "/", stage.dims, "b", stage.bits, ":", stage.keep);
  }
  return key;
}

// Puts the first round on its way: few queries by a recording, whose one launch costs less than
// those of its dozen steps. To make one costs more than it saves once, so that is done when a plan
// comes for the second time.
absl::Status BatchRun::Start() {
  const auto steps = [this] {
    EnqueueFirst();
    EnqueueRest();
  };
  if (count_ > kRecordedQueriesMax) {
    steps();
    return absl::OkStatus();
  }
  const std::string key = RecordingKey();
  const Workspace::Known known = workspace_.Find(key);
  const Recording* recording = known.recording;
  if (known.seen && recording == nullptr) {
    std::unique_ptr<Recording> made = workspace_.stream().Record(steps);
    if (made != nullptr) recording = &workspace_.Keep(key, std::move(made));
  }
  if (recording != nullptr) {
    workspace_.stream().Replay(*recording);
  } else {
    steps();
  }
  return absl::OkStatus();
}

bool BatchRun::NeedsAnother() const {
  const ScanOutcome* outcomes = At<ScanOutcome>(workspace_.host_output(), outcomes_at_);
  return std::find(outcomes, outcomes + count_, ScanOutcome::kAgain) != outcomes + count_;
}

absl::StatusOr<std::vector<std::optional<Result>>> BatchRun::Run() {
  MRL_RETURN_IF_ERROR(workspace_.Reserve(input_.size(), lists_.size(), output_.size()));
  FillInput();
  MRL_RETURN_IF_ERROR(Start());
  MRL_RETURN_IF_ERROR(workspace_.stream().Wait());
  for (int round = 1; NeedsAnother() && round < kRoundsMax; ++round) {
    EnqueueRest();
    MRL_RETURN_IF_ERROR(workspace_.stream().Wait());
  }
  std::vector<std::optional<Result>> results;
  for (uint32_t q = 0; q < count_; ++q) results.push_back(Answer(q));
  return results;
}

std::optional<Result> BatchRun::Answer(uint32_t q) const {
  uint8_t* out = workspace_.host_output();
  if (refused_[q] || At<ScanOutcome>(out, outcomes_at_)[q] != ScanOutcome::kComplete) {
    return std::nullopt;
  }
  Result result;
  result.rows_scanned = allowed_rows_;
  const Codes& codes = *stages_.front().codes();
  result.bytes_touched =
      BlockCount(segment_.rows()) * kCodeRows * sizeof(uint32_t) *
      (stages_.front().kind() == StageKind::kBits ? stages_.front().word_count() / BitCodes::kChunk
                                                  : codes.row_words);
  if (bounds()) {
    result.rescored = At<uint32_t>(out, counts_at_[2])[q];
    result.bytes_touched +=
        result.rescored * RowBytes(segment_.segment().schema(), plan_.stages.front());
  }
  const uint32_t capacity = keep(last_select());
  const uint32_t count = At<uint32_t>(out, counts_at_[kOutput])[q];
  const Entry* entries = At<Entry>(out, entries_at_[kOutput]) + size_t{q} * capacity;
  for (uint32_t i = 0; i < std::min(count, capacity); ++i) {
    result.candidates.push_back({stages_.back().ScoreOf(q, KeyOf(entries[i])), RowOf(entries[i])});
  }
  if (plan_.stages.size() > 1 || !plan_.cut_last) AnswerLater(q, result);
  return result;
}

void BatchRun::AnswerLater(uint32_t q, Result& result) const {
  const Schema& schema = segment_.segment().schema();
  const auto cut_of = [&](size_t stage) {
    const Entry cut = At<Entry>(workspace_.host_output(), cuts_at_)[stage * count_ + q];
    return cut == 0 ? 0 : stages_[stage].ScoreOf(q, KeyOf(cut));
  };
  result.kept = std::min<uint64_t>(keep(0), allowed_rows_);
  result.score_cut = cut_of(0);
  uint64_t in = result.kept;
  for (size_t stage = 1; stage < plan_.stages.size(); ++stage) {
    const LaterStage& asked = plan_.stages[stage];
    Result::Ran ran = {.candidates_in = in, .bytes = in * RowBytes(schema, asked)};
    ran.candidates_out = stage > last_select() ? in : std::min<uint64_t>(keep(stage), in);
    if (stage <= last_select()) ran.score_cut = cut_of(stage);
    in = ran.candidates_out;
    result.later.push_back(ran);
  }
}

}  // namespace

SamplePlan PlanSample(uint32_t rows, uint32_t keep) {
  const auto blocks = static_cast<uint32_t>(BlockCount(rows));
  const uint32_t all = blocks * kCodeRows;
  SamplePlan plan = {.capacity = all};
  const uint32_t sample = SampledBlocks(blocks);
  if (blocks < kStepMin * sample) return plan;
  plan.step = blocks / sample;
  const double expected = static_cast<double>(keep) / plan.step;
  // Four standard deviations more than expected, were the rows in random order.
  const double rank = std::ceil(expected + 4 * std::sqrt(expected) + 4);
  const double survivors = rank * plan.step;
  const double room = 2 * survivors + 2.0 * keep + sample * kCodeRows;
  if (room >= all || rank >= sample * kCodeRows) return plan;
  plan.blocks = sample;
  plan.rank = static_cast<uint32_t>(rank);
  plan.capacity = static_cast<uint32_t>(room);
  return plan;
}

size_t StagesOnDevice(const DeviceSegment& segment, absl::Span<const LaterStage> stages) {
  const Schema& schema = segment.segment().schema();
  const LaterStage& first = stages.front();
  const Code scanned = {first.dims, first.bits == 0 ? kInt8Bits : first.bits};
  if (segment.Find(scanned) == nullptr || ScanWords(scanned) > kTileWordsMax) return 0;
  size_t can = 0;
  for (const LaterStage& stage : stages) {
    const int level = schema.LevelOf(stage.dims);
    const bool readable = level >= 0 && static_cast<uint32_t>(level) < segment.levels();
    if (stage.bits != 0 ? segment.Find({stage.dims, stage.bits}) == nullptr : !readable) break;
    ++can;
  }
  return can;
}

uint32_t BatchMax(const DeviceSegment& segment, const BatchPlan& plan, size_t places) {
  const SamplePlan sample =
      PlanSample(segment.rows(), DeviceKeep(segment, plan.stages.front().keep));
  const uint64_t lists = plan.stages.front().bits == 0 ? 3 : 2;
  const uint64_t list_bytes = lists * sample.capacity * sizeof(Entry);
  const uint64_t most = segment.device().batch_bytes() / (kListShare * places);
  return static_cast<uint32_t>(
      std::clamp<uint64_t>(most / std::max<uint64_t>(1, list_bytes), 1, kBatchMax));
}

absl::StatusOr<std::vector<std::optional<Result>>> RunBatch(
    Workspace& workspace, const DeviceSegment& segment, const BatchPlan& plan,
    absl::Span<const float* const> queries) {
  return BatchRun(workspace, segment, plan, queries).Run();
}

}  // namespace mrl::coarse::gpu
