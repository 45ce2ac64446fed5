#include "expect.h"

#include <errno.h>

#include "base/fault.h"

/* Each row must be fit for a reply: a code, an enhanced code of the same class, a clause without
   full stop. */
static void rows_agree_with_themselves(void **state)
{
    (void)state;
    for (int f = FAULT_NONE + 1; f < FAULT_COUNT; f++) {
        enum fault fault = (enum fault)f;
        int code = fault_smtp_code(fault);
        const char *enhanced = fault_enhanced(fault);
        const char *text = fault_text(fault);
        assert_in_range(code, 400, 599);
        assert_true(strlen(enhanced) >= 5 && enhanced[1] == '.');
        assert_int_equal(enhanced[0], '0' + code / 100);
        assert_true(strlen(text) > 0 && text[strlen(text) - 1] != '.');
        assert_true(strlen(fault_name(fault)) > 0);
        if (fault_is_temporary(fault))
            assert_int_equal(code / 100, 4);
    }
}

static void rows(void **state)
{
    (void)state;
    assert_int_equal(FAULT_NONE, 0);
    assert_int_equal(fault_smtp_code(FAULT_DISK_FULL), 452);
    assert_string_equal(fault_enhanced(FAULT_DISK_FULL), "4.3.1");
    assert_string_equal(fault_name(FAULT_DISK_FULL), "DISK_FULL");
    assert_true(fault_is_temporary(FAULT_DISK_FULL));
    assert_false(fault_is_temporary(FAULT_NULL_MX));
    assert_int_equal(fault_smtp_code(FAULT_NULL_MX), 556);
    assert_string_equal(fault_enhanced(FAULT_NULL_MX), "5.1.10");
}

static void what_is_not_known_is_temporary(void **state)
{
    (void)state;
    assert_true(fault_is_temporary(FAULT_UNKNOWN));
    assert_true(fault_is_temporary((enum fault)FAULT_COUNT));
    assert_true(fault_is_temporary((enum fault) - 1));
    assert_string_equal(fault_name((enum fault)12345), "UNKNOWN");
    assert_int_equal(fault_smtp_code((enum fault)12345), 451);
}

static void faults_of_errno(void **state)
{
    (void)state;
    static const struct {
        int error;
        enum fault fault;
    } table[] = {
        {0, FAULT_NONE},
        {ENOSPC, FAULT_DISK_FULL},
        {EDQUOT, FAULT_DISK_FULL},
        {EIO, FAULT_DISK_ERROR},
        {EROFS, FAULT_DISK_ERROR},
        {ECONNREFUSED, FAULT_CONNECT_REFUSED},
        {ETIMEDOUT, FAULT_CONNECT_TIMEOUT},
        {ECONNRESET, FAULT_CONNECTION_LOST},
        {EPIPE, FAULT_CONNECTION_LOST},
        {EHOSTUNREACH, FAULT_UNREACHABLE},
        {EMFILE, FAULT_NO_DESCRIPTORS},
        {ENFILE, FAULT_NO_DESCRIPTORS},
        {ENOMEM, FAULT_NO_MEMORY},
        {EADDRINUSE, FAULT_ADDRESS_IN_USE},
        {ENOENT, FAULT_NOT_FOUND},
        {EEXIST, FAULT_EXISTS},
        {EACCES, FAULT_DENIED},
        {EDOM, FAULT_UNKNOWN},
        {-1, FAULT_UNKNOWN},
        {99999, FAULT_UNKNOWN},
    };
    for (size_t i = 0; i < ROWS(table); i++)
        assert_int_equal(fault_of_errno(table[i].error), table[i].fault);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_agree_with_themselves),
        cmocka_unit_test(rows),
        cmocka_unit_test(what_is_not_known_is_temporary),
        cmocka_unit_test(faults_of_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
