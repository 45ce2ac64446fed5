/*
 * tls_files: certificates for one.test and two.test, made anew in a folder of the test, and
 * contexts that use them.
 */
#ifndef TESTS_UNIT_TLS_FILES_H
#define TESTS_UNIT_TLS_FILES_H

#include "expect.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "tls/context.h"

/* A certificate of its own for `name`, and its key, as files of the test's folder. */
struct made {
    char certificate[64], key[64];
};

static inline void write_pem(const char *path, X509 *x, EVP_PKEY *key)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(x != NULL ? PEM_write_X509(f, x)
                               : PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL),
                     1);
    fclose(f);
}

static inline struct made make_certificate(const char *folder, const char *name)
{
    struct made m;
    char alternative[100];
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    assert_non_null(key);
    assert_non_null(x);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    /* Simulated clocks may show any time. */
    assert_int_equal(ASN1_TIME_set_string(X509_getm_notBefore(x), "19700101000000Z"), 1);
    assert_int_equal(ASN1_TIME_set_string(X509_getm_notAfter(x), "21000101000000Z"), 1);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    (void)snprintf(alternative, sizeof alternative, "DNS:%s,IP:10.0.1.1", name);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alternative);
    assert_int_equal(X509_add_ext(x, extension, -1), 1);
    X509_EXTENSION_free(extension);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    (void)snprintf(m.certificate, sizeof m.certificate, "%s/%s.pem", folder, name);
    (void)snprintf(m.key, sizeof m.key, "%s/%s.key", folder, name);
    write_pem(m.certificate, x, NULL);
    write_pem(m.key, NULL, key);
    X509_free(x);
    EVP_PKEY_free(key);
    return m;
}

static struct made certificates[2];
static uint8_t ticket_keys[TLS_TICKET_KEY_BYTES];

static inline void tls_files_make(void)
{
    static char folder[] = "/tmp/postrider-tls-XXXXXX";
    assert_non_null(mkdtemp(folder));
    certificates[0] = make_certificate(folder, "one.test");
    certificates[1] = make_certificate(folder, "two.test");
}

static inline struct tls_context *tls_files_server(void)
{
    struct tls_certificate files[] = {
        {.certificate = certificates[0].certificate, .key = certificates[0].key},
        {.certificate = certificates[1].certificate, .key = certificates[1].key}};
    struct tls_context *c;
    struct buffer why;
    buffer_init(&why, 1024);
    assert_int_equal(tls_server_new(files, 2, ticket_keys, &why, &c), FAULT_NONE);
    buffer_fini(&why);
    return c;
}

static inline struct tls_context *tls_files_client(void)
{
    struct tls_context *c;
    assert_int_equal(tls_client_new(NULL, NULL, &c), FAULT_NONE);
    return c;
}

#endif
