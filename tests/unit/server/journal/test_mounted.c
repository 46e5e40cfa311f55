/* Real file systems of our own: a tmpfs that is full and has room again, and an ext4 whose power is
 * cut (its shutdown request, without a flush of its log). Both need root and a kernel that lets us
 * mount; without, the tests are skipped by name. N= makes more cuts. */
#define _GNU_SOURCE

#include "tests/unit/server/journal/directory.h"
#include "tests/unit/server/journal/state.h"

#include <errno.h>
#include <linux/loop.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

enum { MOST = 30000, SIZE = 1500000, FULL = 28 << 20, DISK = 96 << 20, CUTS = 8 };

#define SHUTDOWN_REQUEST     _IOR('X', 125, uint32_t)
#define SHUTDOWN_WITHOUT_LOG 2u

static char mount_point[128];
static char image[128];
static int loop = -1;
static char loop_path[32];
static bool may_mount;
static struct journal_error error;

/* Mounts are made in a name space of our own, so that none can be left behind. */
static int setup(void **state)
{
    if (directory_setup(state) != 0)
        return -1;
    snprintf(mount_point, sizeof mount_point, "%s/mounted", directory_root);
    snprintf(image, sizeof image, "%s/image", directory_root);
    snprintf(directory_path, sizeof directory_path, "%s/mounted/journal", directory_root);
    may_mount = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
                mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    return mkdir(mount_point, 0700);
}

static int teardown(void **state)
{
    umount2(mount_point, MNT_DETACH);
    if (loop >= 0) {
        ioctl(loop, LOOP_CLR_FD, 0);
        close(loop);
        unlink(image);
    }
    rmdir(mount_point);
    return directory_teardown(state);
}

static struct journal *opened(uint64_t reserve)
{
    struct journal_options options = {.directory = directory_path,
                                      .segment_bytes = JOURNAL_SEGMENT_MIN,
                                      .snapshot_reserve = reserve};
    struct journal *journal = NULL;
    if (journal_open(&options, &journal, &error) != 0)
        fail_msg("%s", error.text);
    return journal;
}

static void start(struct journal *journal, struct user *user)
{
    struct journal_events events = user_events(user);
    if (journal_start(journal, &events, &error) != 0)
        fail_msg("%s", error.text);
}

static void a_tmpfs_fills_up_and_has_room_again(void **state)
{
    (void)state;
    char data[32];
    struct user user;
    uint32_t skipped = 0;
    uint64_t last = 0;
    snprintf(data, sizeof data, "size=%d", FULL);
    if (!may_mount || mount("none", mount_point, "tmpfs", 0, data) != 0) {
        print_message("no tmpfs can be mounted here: %s\n", strerror(errno));
        skip();
    }
    struct journal *journal = opened(SIZE + SIZE / 2);
    start(journal, &user);
    for (int round = 0; round < 3; round++) {
        while (user_is_writable(&user))
            assert_true(user_append(&user, journal, ++last, MOST));
        for (int i = 0; i < 5; i++)
            assert_true(user_append(&user, journal, ++last, MOST));
        if (state_write(journal, last, SIZE, &error) != 0)
            fail_msg("%s", error.text);
        assert_true(user_wait_writable(&user, true));
    }
    assert_false(user.failed);
    assert_true(user.writable_calls >= 6);
    assert_int_equal(state_start(journal, SIZE, MOST, &skipped, &error), last);
    for (int i = 0;
         i < 10000 && (directory_count("segment.spare-") < 2 || directory_count("reserve") < 1);
         i++)
        usleep(1000);
    journal_close(journal);

    /* Somebody else takes all that is left: a start must do with what the journal holds. */
    int filler = open(directory_file("../filler"), O_WRONLY | O_CREAT, 0600);
    static uint8_t page[4096];
    while (write(filler, page, sizeof page) == sizeof page)
        continue;
    assert_int_equal(errno, ENOSPC);
    close(filler);
    journal = opened(SIZE + SIZE / 2);
    assert_int_equal(state_start(journal, SIZE, MOST, &skipped, &error), last);
    start(journal, &user);
    do
        assert_true(user_append(&user, journal, ++last, MOST));
    while (user_is_writable(&user));
    unlink(directory_file("../filler"));
    assert_true(user_wait_writable(&user, true));
    journal_close(journal);
    assert_int_equal(umount(mount_point), 0);
}

static bool make_disk(void)
{
    char command[256];
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
    int file = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    close(control);
    snprintf(loop_path, sizeof loop_path, "/dev/loop%d", number);
    snprintf(command, sizeof command, "mkfs.ext4 -q -F %s >/dev/null 2>&1", image);
    bool made = number >= 0 && file >= 0 && ftruncate(file, DISK) == 0 && system(command) == 0;
    loop = made ? open(loop_path, O_RDWR | O_CLOEXEC) : -1;
    made = loop >= 0 && ioctl(loop, LOOP_SET_FD, file) == 0;
    close(file);
    return made;
}

static void cut_power(void)
{
    uint32_t how = SHUTDOWN_WITHOUT_LOG;
    int descriptor = open(mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(descriptor >= 0);
    assert_int_equal(ioctl(descriptor, SHUTDOWN_REQUEST, &how), 0);
    close(descriptor);
}

/* Proposes entries with several under way until the journal fails, and cuts the power in between.
 * Returns how many were acknowledged; *proposed is how many may be there. */
static uint64_t work_until_cut(struct journal *journal, uint64_t base, uint64_t cut_after,
                               uint64_t *proposed)
{
    static uint8_t bodies[JOURNAL_PROPOSALS_MAX][MOST];
    struct user user;
    uint64_t count = 0;
    uint64_t under_way = 1 + fixture_mix(base) % 16;
    start(journal, &user);
    for (; count < 100000; count++) {
        if (count >= under_way && !user_wait(&user, count + 1 - under_way))
            break;
        uint8_t *body = bodies[count % JOURNAL_PROPOSALS_MAX];
        uint32_t length = fixture_length(base + count + 1, MOST);
        fixture_fill(base + count + 1, body, length);
        if (journal_propose(journal, count, body, length) != 0)
            break;
        if (count == cut_after)
            cut_power();
        if (count % 70 == 69 &&
            state_write(journal, journal_durable_index(journal), SIZE, &error) != 0)
            break;
    }
    *proposed = base + count;
    journal_close(journal);
    assert_true(user.failed);
    assert_true(user.in_order);
    return base + user.committed;
}

static void an_ext4_survives_power_cuts(void **state)
{
    (void)state;
    uint64_t acknowledged = 0;
    uint64_t proposed = 0;
    if (!may_mount || !make_disk() || mount(loop_path, mount_point, "ext4", 0, NULL) != 0) {
        print_message("no ext4 can be mounted from a file here: %s\n", strerror(errno));
        skip();
    }
    for (unsigned long cut = 0; cut < fixture_times(CUTS); cut++) {
        uint32_t skipped = 0;
        struct journal *journal = opened(0);
        uint64_t durable = journal_durable_index(journal);
        if (durable < acknowledged || durable > proposed)
            fail_msg("cut %lu: ends with entry %" PRIu64 ", where %" PRIu64
                     " are acknowledged and %" PRIu64 " proposed",
                     cut, durable, acknowledged, proposed);
        int64_t read = state_start(journal, SIZE, MOST, &skipped, &error);
        if (read != (int64_t)durable)
            fail_msg("cut %lu: %s", cut, error.text);
        assert_int_equal(skipped, 0);
        acknowledged = work_until_cut(journal, durable, fixture_mix(cut) % 200, &proposed);
        assert_int_equal(umount(mount_point), 0);
        assert_int_equal(mount(loop_path, mount_point, "ext4", 0, NULL), 0);
    }
    assert_true(acknowledged > CUTS * 10);
    assert_int_equal(umount(mount_point), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_tmpfs_fills_up_and_has_room_again, setup, teardown),
        cmocka_unit_test_setup_teardown(an_ext4_survives_power_cuts, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
