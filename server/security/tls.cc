#include "server/security/tls.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include <openssl/x509.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"

namespace mrl::server {
namespace {

constexpr uint64_t kFileBytesMax = 1 << 20;
constexpr absl::Duration kLookEvery = absl::Seconds(1);

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using PrivateKey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Bio OverText(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free);
}

// A key with a passphrase is not asked for on the terminal.
int NoPassphrase(char*, int, int, void*) { return 0; }

absl::StatusOr<Certificate> ParseCertificate(const std::string& text, const std::string& path) {
  const Bio bio = OverText(text);
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr), X509_free);
  if (certificate == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": no PEM certificate is in it"));
  }
  return certificate;
}

absl::StatusOr<PrivateKey> ParsePrivateKey(const std::string& text, const std::string& path) {
  const Bio bio = OverText(text);
  PrivateKey key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr), EVP_PKEY_free);
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": no PEM private key without a passphrase is in it"));
  }
  return key;
}

absl::Status Check(const TlsTexts& texts, const TlsFiles& tls) {
  MRL_ASSIGN_OR_RETURN(const Certificate certificate, ParseCertificate(texts.cert, tls.cert));
  MRL_ASSIGN_OR_RETURN(const PrivateKey key, ParsePrivateKey(texts.key, tls.key));
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(tls.key, ": the key is not that of the certificate in ", tls.cert));
  }
  if (X509_cmp_current_time(X509_get0_notAfter(certificate.get())) < 0) {
    return absl::InvalidArgumentError(absl::StrCat(tls.cert, ": the certificate has expired"));
  }
  if (tls.client_ca.empty()) return absl::OkStatus();
  return ParseCertificate(texts.client_ca, tls.client_ca).status();
}

// gRPC asks at each handshake and goes on with what it was given last where nothing is new.
grpc_ssl_certificate_config_reload_status Fetch(void* keeper,
                                                grpc_ssl_server_certificate_config** config) {
  const std::optional<TlsTexts> texts = static_cast<TlsKeeper*>(keeper)->TakeNew();
  if (!texts) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
  const grpc_ssl_pem_key_cert_pair pair = {texts->key.c_str(), texts->cert.c_str()};
  // gRPC 1.51 wants roots even where it asks clients for nothing; then they are not looked at.
  const std::string& roots = texts->client_ca.empty() ? texts->cert : texts->client_ca;
  *config = grpc_ssl_server_certificate_config_create(roots.c_str(), &pair, 1);
  return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

// gRPC's C++ has no credentials that ask: its watcher of files serves a pair that does not fit.
class Credentials final : public grpc::ServerCredentials {
 public:
  explicit Credentials(TlsKeeper& keeper)
      : credentials_(grpc_ssl_server_credentials_create_with_options(
            grpc_ssl_server_credentials_create_options_using_config_fetcher(
                keeper.paths().client_ca.empty()
                    ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                    : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY,
                &Fetch, &keeper))) {}
  ~Credentials() override { grpc_server_credentials_release(credentials_); }
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;
  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  grpc_server_credentials* const credentials_;
};

}  // namespace

absl::StatusOr<TlsTexts> ReadTlsFiles(FileSystem& files, const TlsFiles& tls) {
  TlsTexts texts;
  MRL_ASSIGN_OR_RETURN(texts.cert, ReadFile(files, tls.cert, kFileBytesMax));
  MRL_ASSIGN_OR_RETURN(texts.key, ReadFile(files, tls.key, kFileBytesMax));
  if (!tls.client_ca.empty()) {
    MRL_ASSIGN_OR_RETURN(texts.client_ca, ReadFile(files, tls.client_ca, kFileBytesMax));
  }
  const absl::Status checked = Check(texts, tls);
  ERR_clear_error();  // OpenSSL keeps one for who shakes hands on this thread
  MRL_RETURN_IF_ERROR(checked);
  return texts;
}

absl::StatusOr<absl::Time> CertificateExpiry(FileSystem& files, const std::string& path) {
  MRL_ASSIGN_OR_RETURN(const std::string text, ReadFile(files, path, kFileBytesMax));
  const Bio bio = OverText(text);
  absl::Time first = absl::InfiniteFuture();
  while (true) {
    const Certificate one(PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr), X509_free);
    if (one == nullptr) break;
    std::tm end = {};
    if (ASN1_TIME_to_tm(X509_get0_notAfter(one.get()), &end) != 1) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": a certificate has no valid end"));
    }
    first = std::min(first, absl::FromTM(end, absl::UTCTimeZone()));
  }
  ERR_clear_error();  // of the end of the file
  if (first != absl::InfiniteFuture()) return first;
  return absl::InvalidArgumentError(absl::StrCat(path, ": no PEM certificate is in it"));
}

TlsKeeper::TlsKeeper(FileSystem& files, TlsFiles paths, TlsTexts texts)
    : files_(files), paths_(std::move(paths)), texts_(std::move(texts)), looked_(absl::Now()) {}

absl::StatusOr<std::unique_ptr<TlsKeeper>> TlsKeeper::Open(FileSystem& files, const TlsFiles& tls) {
  MRL_ASSIGN_OR_RETURN(TlsTexts texts, ReadTlsFiles(files, tls));
  return std::unique_ptr<TlsKeeper>(new TlsKeeper(files, tls, std::move(texts)));
}

std::optional<TlsTexts> TlsKeeper::TakeNew() {
  absl::MutexLock lock(&mutex_);
  Look();
  if (!std::exchange(is_new_, false)) return std::nullopt;
  return texts_;
}

bool TlsKeeper::failed() {
  absl::MutexLock lock(&mutex_);
  Look();
  return !problem_.empty();
}

void TlsKeeper::Look() {
  const absl::Time now = absl::Now();
  if (now >= looked_ && now - looked_ < kLookEvery) return;
  looked_ = now;
  auto read = ReadTlsFiles(files_, paths_);
  // They may be of two pairs where a link to their folder was exchanged in between.
  if (!read.ok()) read = ReadTlsFiles(files_, paths_);
  if (!read.ok()) {
    if (problem_ == read.status().message()) return;
    problem_ = std::string(read.status().message());
    spdlog::error("the TLS files are not in order, those before stay in use: {}", problem_);
    return;
  }
  problem_.clear();
  if (*read == texts_) return;
  texts_ = *std::move(read);
  is_new_ = true;
  spdlog::info("new connections get the certificate that now is in {}", paths_.cert);
}

std::shared_ptr<grpc::ServerCredentials> MakeTlsCredentials(TlsKeeper& keeper) {
  return std::make_shared<Credentials>(keeper);
}

}  // namespace mrl::server
