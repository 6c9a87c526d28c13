#include "index/collection/profile_disk.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace mrl::collection {
namespace {

funnel::Certificate FromDisk(const disk::Certificate& message) {
  funnel::Certificate certificate;
  certificate.funnel = message.funnel();
  certificate.k = message.k();
  certificate.queries = message.queries();
  certificate.own_points = message.own_points();
  certificate.recall = message.recall();
  certificate.low = message.low();
  certificate.high = message.high();
  certificate.lost.assign(message.lost().begin(), message.lost().end());
  certificate.seed = message.seed();
  certificate.generation = message.generation();
  certificate.sequence = message.sequence();
  certificate.rows = message.rows();
  certificate.created_unix_s = message.created_unix_s();
  certificate.change_max = message.change_max();
  return certificate;
}

void ToDisk(const funnel::Certificate& certificate, disk::Certificate* out) {
  out->set_funnel(certificate.funnel);
  out->set_k(certificate.k);
  out->set_queries(certificate.queries);
  out->set_own_points(certificate.own_points);
  out->set_recall(certificate.recall);
  out->set_low(certificate.low);
  out->set_high(certificate.high);
  for (const double share : certificate.lost) out->add_lost(share);
  out->set_seed(certificate.seed);
  out->set_generation(certificate.generation);
  out->set_sequence(certificate.sequence);
  out->set_rows(certificate.rows);
  out->set_created_unix_s(certificate.created_unix_s);
  out->set_change_max(certificate.change_max);
}

funnel::ProfileVersion FromDisk(const disk::ProfileVersion& message) {
  funnel::ProfileVersion version = {.version = message.version(),
                                    .funnel = message.funnel(),
                                    .k = message.k(),
                                    .created_unix_s = message.created_unix_s(),
                                    .note = message.note()};
  if (message.has_certificate()) version.certificate = FromDisk(message.certificate());
  return version;
}

void ToDisk(const funnel::ProfileVersion& version, disk::ProfileVersion* out) {
  out->set_version(version.version);
  out->set_funnel(version.funnel);
  out->set_k(version.k);
  out->set_created_unix_s(version.created_unix_s);
  out->set_note(version.note);
  if (version.certificate.has_value()) ToDisk(*version.certificate, out->mutable_certificate());
}

}  // namespace

absl::StatusOr<funnel::ProfileSet> ProfilesFromDisk(const disk::ProfileSet& message) {
  funnel::ProfileSet set;
  set.default_name = message.default_name();
  set.shadow_name = message.shadow_name();
  set.shadow_share = message.shadow_share();
  for (const disk::Profile& profile : message.profiles()) {
    funnel::Profile& added = set.profiles.emplace_back();
    added.name = profile.name();
    added.serving = profile.serving();
    for (const disk::ProfileVersion& version : profile.versions()) {
      added.versions.push_back(FromDisk(version));
    }
  }
  const absl::Status valid = set.Validate();
  if (!valid.ok()) return absl::DataLossError(absl::StrCat("manifest: ", valid.message()));
  return set;
}

void ProfilesToDisk(const funnel::ProfileSet& set, disk::ProfileSet* out) {
  out->set_default_name(set.default_name);
  out->set_shadow_name(set.shadow_name);
  out->set_shadow_share(set.shadow_share);
  for (const funnel::Profile& profile : set.profiles) {
    disk::Profile* added = out->add_profiles();
    added->set_name(profile.name);
    added->set_serving(profile.serving);
    for (const funnel::ProfileVersion& version : profile.versions) {
      ToDisk(version, added->add_versions());
    }
  }
}

}  // namespace mrl::collection
