#include "COpenSSL.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <string.h>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

enum { hash_length = 32 };

// Fetching walks the providers and takes locks, and so does the choice of the digest: both are done once for the whole process.
// What follows is a copy, which threads may make at the same time.
static EVP_MAC_CTX *hmac_sha256;
static CRYPTO_ONCE hmac_once = CRYPTO_ONCE_STATIC_INIT;

static void prepare_hmac(void) {
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = hmac == NULL ? NULL : EVP_MAC_CTX_new(hmac);
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
    if (context != NULL && EVP_MAC_CTX_set_params(context, parameters)) {
        hmac_sha256 = context;
    } else {
        EVP_MAC_CTX_free(context);
    }
    // The context holds it.
    EVP_MAC_free(hmac);
}

/// A context for any number of HMACs, one after the other; NULL when libcrypto failed. Freeing it wipes its keys.
static EVP_MAC_CTX *new_hmac(void) {
    if (!CRYPTO_THREAD_run_once(&hmac_once, prepare_hmac) || hmac_sha256 == NULL) return NULL;
    return EVP_MAC_CTX_dup(hmac_sha256);
}

static int end_hmac(EVP_MAC_CTX *context, uint8_t output[hash_length]) {
    size_t length = 0;
    return EVP_MAC_final(context, output, &length, hash_length) && length == hash_length;
}

int penstock_hkdf_sha256(const uint8_t *salt, size_t salt_length, const uint8_t *key, size_t key_length,
                         const uint8_t *info, size_t info_length, uint8_t *output, size_t output_length) {
    static const uint8_t no_salt[hash_length];
    if (output_length > 255 * hash_length) return 0;
    EVP_MAC_CTX *context = new_hmac();
    if (context == NULL) return 0;
    uint8_t extracted[hash_length], block[hash_length];
    int ok = EVP_MAC_init(context, salt_length > 0 ? salt : no_salt, salt_length > 0 ? salt_length : hash_length, NULL) &&
             EVP_MAC_update(context, key, key_length) && end_hmac(context, extracted);
    size_t written = 0;
    for (uint8_t number = 1; ok && written < output_length; number++) {
        size_t rest = output_length - written;
        size_t length = rest < hash_length ? rest : hash_length;
        ok = EVP_MAC_init(context, extracted, hash_length, NULL) &&
             (number == 1 || EVP_MAC_update(context, block, hash_length)) &&
             EVP_MAC_update(context, info, info_length) && EVP_MAC_update(context, &number, 1) && end_hmac(context, block);
        if (ok) memcpy(output + written, block, length);
        written += length;
    }
    OPENSSL_cleanse(extracted, sizeof extracted);
    OPENSSL_cleanse(block, sizeof block);
    EVP_MAC_CTX_free(context);
    return ok;
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

/// HMAC of one or two pieces, one behind the other.
static int hmac(EVP_MAC_CTX *context, const uint8_t key[hash_length], const uint8_t *first, size_t first_length,
                const uint8_t *second, size_t second_length, uint8_t output[hash_length]) {
    return EVP_MAC_init(context, key, hash_length, NULL) && EVP_MAC_update(context, first, first_length) &&
           EVP_MAC_update(context, second, second_length) && end_hmac(context, output);
}

int penstock_noise_hkdf(const uint8_t chaining_key[32], const uint8_t *material, size_t length, uint8_t first[32],
                        uint8_t second[32]) {
    EVP_MAC_CTX *context = new_hmac();
    if (context == NULL) return 0;
    uint8_t extracted[hash_length];
    const uint8_t one = 1, two = 2;
    int ok = hmac(context, chaining_key, material, length, NULL, 0, extracted) &&
             hmac(context, extracted, &one, 1, NULL, 0, first) &&
             hmac(context, extracted, first, hash_length, &two, 1, second);
    OPENSSL_cleanse(extracted, sizeof extracted);
    EVP_MAC_CTX_free(context);
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
