/*
 * The importer with a real spool, in lives that end at every disk operation between the first look
 * at the drop folder and the last unlink: each message comes to the queue, comes from the folder
 * once, and none that has ended comes again.
 */
#include "expect.h"

#include <stdio.h>
#include <string.h>

#include "mail/drop_file.h"
#include "receive/importer.h"
#include "sim/world.h"
#include "spool/recovered.h"
#include "transfer/accepted.h"

enum { MESSAGES = 4, LARGE = 3, LARGE_BYTES = 400000 };

static const struct endpoint address = {.family = 4, .ip = {10, 0, 0, 1}};

struct told {
    bool accepted, recovered; /* by whom the queue heard of it, in any life */
    bool done_sent, is_done;
};

/* The queue: each message it hears of is delivered at once, and ended. */
struct desk {
    struct actor *actor;
    struct append done[MESSAGES];
    struct letter stops[2];
};

static struct {
    struct sim *sim;
    struct machine *machine;
    struct world *life;
    struct disk_pool *pool;
    struct spool *spool;
    struct importer *importer;
    struct desk desk;
    struct settings *settings;
    struct told told[MESSAGES];
    uint64_t operations; /* of the first life, when nothing kills it */
} scene;

static struct id id_of(int n)
{
    struct id id = {{1, 0x98, 0, 0, 0, 0, 0x70, 0, 0x80}};
    id.bytes[15] = (uint8_t)(n + 1);
    return id;
}

static int number_of(struct id id)
{
    for (int n = 0; n < MESSAGES; n++)
        if (id_equal(id_of(n), id))
            return n;
    fail_msg("an id that nobody has given");
    return 0;
}

static void deliver(int n)
{
    struct append *a = &scene.desk.done[n];
    scene.told[n].done_sent = true;
    *a = (struct append){.type = RECORD_DONE, .id = id_of(n), .version = 1};
    letter_send(scene.desk.actor, spool_actor(scene.spool), &a->letter, LETTER_APPEND, NULL);
}

static void on_letter(void *self, struct letter *letter)
{
    struct desk *d = self;
    if (letter->is_answer) {
        struct append *a = container_of(letter, struct append, letter);
        if (letter->type == LETTER_APPEND && a->fault == FAULT_NONE)
            scene.told[number_of(a->id)].is_done = true;
        return;
    }
    if (letter->type == LETTER_ACCEPTED) {
        struct accepted *a = container_of(letter, struct accepted, letter);
        int n = number_of(a->mail->id);
        assert_false(scene.told[n].accepted || scene.told[n].recovered);
        assert_int_equal(a->mail->envelope.recipient_count, 1);
        scene.told[n].accepted = true;
        deliver(n);
    } else {
        struct recovered *r = container_of(letter, struct recovered, letter);
        for (uint32_t i = 0; i < r->count; i++) {
            int n = number_of(r->messages[i].id);
            assert_false(scene.told[n].is_done);
            scene.told[n].recovered = true;
            deliver(n);
        }
    }
    letter_answer(d->actor, letter);
}

static const struct actor_role role = {"desk", on_letter, NULL};

static void put_file(struct disk *d, int n)
{
    static uint8_t line[1000];
    char name[ID_TEXT_LEN + 1];
    struct buffer b;
    struct file *f;
    memset(line, 'x', sizeof line);
    line[998] = '\r';
    line[999] = '\n';
    buffer_init(&b, 1024 * 1024);
    assert_true(drop_begin(&b) && drop_put(&b, DROP_SENDER, SPAN("a@a.test")) &&
                drop_put(&b, DROP_RECIPIENT, SPAN("b@b.test")) &&
                drop_put(&b, DROP_DATA, SPAN("Subject: x\r\n\r\n")));
    for (int i = 0; n == LARGE && i < LARGE_BYTES / 1000; i++)
        assert_true(drop_put(&b, DROP_DATA, span_of(line, sizeof line)));
    assert_true(drop_put(&b, DROP_END, SPAN("")));
    id_format(id_of(n), name);
    struct span all = buffer_span(&b);
    assert_int_equal(file_open(d, name, DISK_CREATE, &f), FAULT_NONE);
    assert_int_equal(file_write(f, 0, &all, 1), FAULT_NONE);
    assert_int_equal(file_sync(f), FAULT_NONE);
    file_close(f);
    buffer_fini(&b);
}

static void fill_folder(void)
{
    struct disk *d;
    scene.life = life_begin(scene.machine);
    assert_int_equal(disk_new(scene.life, "/drop", &d), FAULT_NONE);
    for (int n = 0; n < MESSAGES; n++)
        put_file(d, n);
    assert_int_equal(disk_sync(d), FAULT_NONE);
    disk_free(d);
    life_end(scene.life);
}

static void life_over(void)
{
    for (uint32_t i = 0; i < disk_pool_threads(scene.pool); i++)
        actor_join(disk_pool_actor(scene.pool, i));
    if (scene.spool != NULL)
        actor_join(spool_actor(scene.spool));
    if (scene.importer != NULL)
        actor_join(importer_actor(scene.importer));
    if (scene.desk.actor != NULL)
        actor_join(scene.desk.actor);
    spool_free(scene.spool);
    importer_free(scene.importer);
    actor_free(scene.desk.actor);
    disk_pool_free(scene.pool);
    life_end(scene.life);
    scene.spool = NULL;
    scene.importer = NULL;
    scene.desk.actor = NULL;
}

/* False: the life was over before everything stood. */
static bool begin_life(uint64_t kill_at, enum sim_death how)
{
    static const struct spool_settings spool = {.path = "/spool",
                                                .segment_bytes = 1024 * 1024,
                                                .inline_bytes_max = 64 * 1024,
                                                .segments_reserved = 2};
    scene.life = life_begin(scene.machine);
    if (kill_at > 0)
        life_kill_at(scene.life, kill_at, how);
    assert_int_equal(disk_pool_new(scene.life, 2, 0, &scene.pool), FAULT_NONE);
    if (spool_new(scene.life, &spool, scene.pool, 0, NULL, &scene.spool) != FAULT_NONE) {
        scene.spool = NULL;
        return false;
    }
    assert_int_equal(actor_new(scene.life, &role, &scene.desk, 0, NULL, &scene.desk.actor),
                     FAULT_NONE);
    if (importer_new(scene.life, scene.settings, scene.spool, scene.desk.actor, 0, NULL,
                     &scene.importer) != FAULT_NONE) {
        scene.importer = NULL;
        return false;
    }
    spool_set_queue(scene.spool, importer_actor(scene.importer));
    for (uint32_t i = 0; i < disk_pool_threads(scene.pool); i++)
        assert_int_equal(actor_start(disk_pool_actor(scene.pool, i)), FAULT_NONE);
    assert_int_equal(actor_start(spool_actor(scene.spool)), FAULT_NONE);
    assert_int_equal(actor_start(scene.desk.actor), FAULT_NONE);
    assert_int_equal(actor_start(importer_actor(scene.importer)), FAULT_NONE);
    return life_death(scene.life) == SIM_ALIVE;
}

static void on_name(void *context, const char *name)
{
    (void)name;
    ++*(int *)context;
}

static int files_left(void)
{
    struct disk *d;
    int count = 0;
    scene.life = life_begin(scene.machine);
    assert_int_equal(disk_new(scene.life, "/drop", &d), FAULT_NONE);
    assert_int_equal(disk_list(d, on_name, &count), FAULT_NONE);
    disk_free(d);
    life_end(scene.life);
    return count;
}

static void live(uint64_t kill_at, enum sim_death how)
{
    if (begin_life(kill_at, how))
        (void)sim_run_until(scene.sim, sim_now_us(scene.sim) + 20 * SIM_SECOND);
    scene.operations = life_disk_operations(scene.life);
    if (life_death(scene.life) == SIM_ALIVE)
        life_kill(scene.life, SIM_KILLED);
    life_over();
}

static void scene_begin(uint64_t seed)
{
    struct sim_options calm = sim_options_calm();
    memset(&scene, 0, sizeof scene);
    scene.sim = sim_new(seed, &calm);
    scene.machine = machine_new(scene.sim, "mx", address);
    machine_disk(scene.machine, "/spool", 64 * 1024 * 1024);
    machine_disk(scene.machine, "/drop", 64 * 1024 * 1024);
    scene.settings = settings_default("mx.test");
    assert_non_null(scene.settings);
    scene.settings->drop = "/drop";
    fill_folder();
}

static void scene_end(void)
{
    assert_int_equal(files_left(), 0);
    for (int n = 0; n < MESSAGES; n++)
        assert_true(scene.told[n].is_done || scene.told[n].done_sent);
    settings_release(scene.settings);
    sim_free(scene.sim);
}

static void all_arrive(void **state)
{
    (void)state;
    scene_begin(1);
    live(0, SIM_KILLED);
    for (int n = 0; n < MESSAGES; n++)
        assert_true(scene.told[n].accepted && scene.told[n].is_done);
    scene_end();
}

static void a_crash_at_each_operation(void **state)
{
    (void)state;
    scene_begin(2);
    live(0, SIM_KILLED);
    uint64_t operations = scene.operations;
    scene_end();
    assert_true(operations > 30);
    for (uint64_t at = 1; at <= operations; at++) {
        for (enum sim_death how = SIM_KILLED; how <= SIM_POWER_CUT; how++) {
            scene_begin(2 + at);
            live(at, how);
            live(at % 3 == 0 ? 1 + at / 3 : 0, how); /* and sometimes once more */
            live(0, SIM_KILLED);
            scene_end();
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_arrive),
        cmocka_unit_test(a_crash_at_each_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
