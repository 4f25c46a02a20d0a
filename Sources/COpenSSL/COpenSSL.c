#include "COpenSSL.h"

#include <openssl/core_names.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

// Fetching walks the providers and takes locks, so it is done once for the whole process.
static EVP_KDF *hkdf;
static CRYPTO_ONCE hkdf_once = CRYPTO_ONCE_STATIC_INIT;

static void fetch_hkdf(void) { hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL); }

int penstock_hkdf_sha256(const uint8_t *salt, size_t salt_length, const uint8_t *key, size_t key_length,
                         const uint8_t *info, size_t info_length, uint8_t *output, size_t output_length) {
    if (!CRYPTO_THREAD_run_once(&hkdf_once, fetch_hkdf) || hkdf == NULL) return 0;
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(hkdf);
    if (context == NULL) return 0;
    char digest[] = "SHA256";
    OSSL_PARAM parameters[5];
    int n = 0;
    parameters[n++] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
    parameters[n++] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)key, key_length);
    if (salt_length > 0)
        parameters[n++] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, salt_length);
    if (info_length > 0)
        parameters[n++] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, info_length);
    parameters[n] = OSSL_PARAM_construct_end();
    int ok = EVP_KDF_derive(context, output, output_length, parameters);
    EVP_KDF_CTX_free(context);
    return ok > 0;
}

enum { tag_length = 16 };

int penstock_get_tag(EVP_CIPHER_CTX *context, uint8_t *tag) {
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, tag_length), OSSL_PARAM_construct_end()};
    return EVP_CIPHER_CTX_get_params(context, parameters) > 0;
}

int penstock_set_tag(EVP_CIPHER_CTX *context, const uint8_t *tag) {
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, (void *)tag, tag_length),
        OSSL_PARAM_construct_end()};
    return EVP_CIPHER_CTX_set_params(context, parameters) > 0;
}

int penstock_sha256(const uint8_t *first, size_t first_length, const uint8_t *second, size_t second_length,
                    uint8_t digest[32]) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context == NULL) return 0;
    int ok = EVP_DigestInit_ex(context, EVP_sha256(), NULL) && EVP_DigestUpdate(context, first, first_length) &&
             EVP_DigestUpdate(context, second, second_length) && EVP_DigestFinal_ex(context, digest, NULL);
    EVP_MD_CTX_free(context);
    return ok;
}

enum { hash_length = 32 };

int penstock_noise_hkdf(const uint8_t chaining_key[32], const uint8_t *material, size_t length, uint8_t first[32],
                        uint8_t second[32]) {
    static const uint8_t nothing;
    uint8_t extracted[hash_length], input[hash_length + 1];
    input[hash_length] = 2;
    const uint8_t one = 1;
    int ok = HMAC(EVP_sha256(), chaining_key, hash_length, length > 0 ? material : &nothing, length, extracted, NULL) != NULL &&
             HMAC(EVP_sha256(), extracted, hash_length, &one, 1, first, NULL) != NULL;
    if (ok) {
        memcpy(input, first, hash_length);
        ok = HMAC(EVP_sha256(), extracted, hash_length, input, sizeof input, second, NULL) != NULL;
    }
    OPENSSL_cleanse(extracted, sizeof extracted);
    OPENSSL_cleanse(input, sizeof input);
    return ok;
}

int penstock_x25519_public(const uint8_t private_key[32], uint8_t public_key[32]) {
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key, 32);
    size_t length = 32;
    int ok = key != NULL && EVP_PKEY_get_raw_public_key(key, public_key, &length) && length == 32;
    EVP_PKEY_free(key);
    return ok;
}

int penstock_x25519(const uint8_t private_key[32], const uint8_t public_key[32], uint8_t shared[32]) {
    EVP_PKEY *ours = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key, 32);
    EVP_PKEY *theirs = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, public_key, 32);
    EVP_PKEY_CTX *context = ours == NULL ? NULL : EVP_PKEY_CTX_new(ours, NULL);
    size_t length = 32;
    int ok = theirs != NULL && context != NULL && EVP_PKEY_derive_init(context) > 0 &&
             EVP_PKEY_derive_set_peer(context, theirs) > 0 && EVP_PKEY_derive(context, shared, &length) > 0 && length == 32;
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(theirs);
    EVP_PKEY_free(ours);
    // Not every version of libcrypto refuses the points of small order by itself (RFC 7748, section 6.1).
    uint8_t bits = 0;
    for (int i = 0; ok && i < 32; i++) bits |= shared[i];
    if (bits == 0) {
        OPENSSL_cleanse(shared, 32);
        return 0;
    }
    return ok;
}

int penstock_has_aes_instructions(void) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__) && defined(__linux__)
    enum { hwcap_aes = 1 << 3, hwcap_pmull = 1 << 4 };
    unsigned long capabilities = getauxval(AT_HWCAP);
    return (capabilities & hwcap_aes) && (capabilities & hwcap_pmull);
#else
    return 0;
#endif
}
