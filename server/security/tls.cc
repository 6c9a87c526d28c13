#include "server/security/tls.h"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <ctime>

#include <openssl/x509.h>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace mrl::server {
namespace {

constexpr uint64_t kFileBytesMax = 1 << 20;
constexpr unsigned kLookEveryS = 1;

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using PrivateKey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Bio OverText(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free);
}

// A key with a passphrase is not asked for on the terminal.
int NoPassphrase(char*, int, int, void*) { return 0; }

absl::StatusOr<Certificate> ReadCertificate(FileSystem& files, const std::string& path) {
  MRL_ASSIGN_OR_RETURN(const std::string text, ReadFile(files, path, kFileBytesMax));
  const Bio bio = OverText(text);
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr), X509_free);
  if (certificate == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": no PEM certificate is in it"));
  }
  return certificate;
}

absl::StatusOr<PrivateKey> ReadPrivateKey(FileSystem& files, const std::string& path) {
  MRL_ASSIGN_OR_RETURN(const std::string text, ReadFile(files, path, kFileBytesMax));
  const Bio bio = OverText(text);
  PrivateKey key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr), EVP_PKEY_free);
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": no PEM private key without a passphrase is in it"));
  }
  return key;
}

}  // namespace

absl::Status CheckTlsFiles(FileSystem& files, const TlsFiles& tls) {
  MRL_ASSIGN_OR_RETURN(const Certificate certificate, ReadCertificate(files, tls.cert));
  MRL_ASSIGN_OR_RETURN(const PrivateKey key, ReadPrivateKey(files, tls.key));
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(tls.key, ": the key is not that of the certificate in ", tls.cert));
  }
  if (X509_cmp_current_time(X509_get0_notAfter(certificate.get())) < 0) {
    return absl::InvalidArgumentError(absl::StrCat(tls.cert, ": the certificate has expired"));
  }
  if (tls.client_ca.empty()) return absl::OkStatus();
  return ReadCertificate(files, tls.client_ca).status();
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

std::shared_ptr<grpc::ServerCredentials> MakeTlsCredentials(const TlsFiles& tls) {
  using grpc::experimental::FileWatcherCertificateProvider;
  const bool mutual = !tls.client_ca.empty();
  auto provider =
      mutual ? std::make_shared<FileWatcherCertificateProvider>(tls.key, tls.cert, tls.client_ca,
                                                                kLookEveryS)
             : std::make_shared<FileWatcherCertificateProvider>(tls.key, tls.cert, kLookEveryS);
  grpc::experimental::TlsServerCredentialsOptions options(provider);
  options.watch_identity_key_cert_pairs();
  if (mutual) {
    options.watch_root_certs();
    options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return grpc::experimental::TlsServerCredentials(options);
}

}  // namespace mrl::server
