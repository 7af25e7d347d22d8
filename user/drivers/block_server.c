/*
 * The driver's side of a disk: requests of clients to the device, interrupts and time-outs to requests. See block.h.
 */
#include "block.h"

/* A request may take half a minute; then the device is taken for dead. */
#define LOOK_EACH_NS 50000000ull
#define LOOKS 600u

struct server {
    const struct block_driver *driver;
    struct virtio_access access;
    struct virtio_device device;
    struct virtio_blk blk;
    unsigned looks; /* at the device without an interrupt, for this request */
    uint64_t interrupts;
};

static uint32_t read_register(void *context, enum virtio_register name)
{
    return virtio_access_read(&((struct server *)context)->access, name);
}

static void write_register(void *context, enum virtio_register name, uint32_t value)
{
    virtio_access_write(&((struct server *)context)->access, name, value);
}

/*
 * The line tells its level: the device lowers it when its status is read (PCI) or acknowledged, then the line may tell again.
 * Whoever stops the device, as the kernel does when a client takes its frame back, raises no interrupt: hence the looks.
 */
static bool wait(void *context, bool first)
{
    struct server *server = context;
    const struct block_driver *driver = server->driver;
    uint64_t word;
    if (first)
        server->looks = 0;
    enum qy_error error = timer_set(driver->timer, driver->given[BLOCK_TIMEOUT], LOOK_EACH_NS, 0);
    if (error == QY_OK)
        error = notification_wait(driver->given[BLOCK_NOTIFICATION], &word);
    if (error != QY_OK)
        return false;
    if (word & BLOCK_BADGE_INTERRUPT) {
        write_register(context, VIRTIO_INTERRUPT_ACKNOWLEDGE,
                       read_register(context, VIRTIO_INTERRUPT_STATUS));
        error = interrupt_acknowledge(driver->given[BLOCK_INTERRUPT]);
        server->interrupts++;
    }
    server->looks += word & BLOCK_BADGE_TIMEOUT ? 1 : 0;
    return error == QY_OK && server->looks < LOOKS;
}

/* The driver's own page has no pin if the kernel has stopped the device meanwhile. */
static enum qy_error open(struct server *server)
{
    const struct block_driver *driver = server->driver;
    enum qy_error error = frame_unpin(driver->given[BLOCK_PAGE]);
    if (error != QY_OK && error != QY_NOT_FOUND)
        return error;
    struct call_result pin = frame_pin(driver->given[BLOCK_PAGE], driver->given[BLOCK_DMA]);
    if (pin.error != QY_OK)
        return pin.error;
    error = virtio_access_init(&server->access, &driver->place, driver->registers);
    return error == QY_OK
               ? virtio_blk_open(&server->blk, &server->device, driver->page, pin.value[1])
               : error;
}

/*
 * With the client's frame. After an error that leaves the device in doubt the frame keeps its pin: then the kernel stops
 * the device when the capability is deleted.
 */
static enum qy_error transfer(struct server *server, const struct message *message,
                              qy_handle_t frame)
{
    uint64_t offset = message->word[1], bytes = message->word[2];
    struct call_result pin = frame_pin(frame, server->driver->given[BLOCK_DMA]);
    if (pin.error != QY_OK)
        return pin.error;
    enum qy_error error = QY_INVALID_ARGUMENT;
    if (offset <= pin.value[2] && bytes <= pin.value[2] - offset)
        error = virtio_blk_request(&server->blk,
                                   (message->label & 0xff) == BLOCK_READ ? VIRTIO_BLK_READ
                                                                         : VIRTIO_BLK_WRITE,
                                   message->word[0], pin.value[1] + offset, bytes);
    if (server->blk.open) {
        enum qy_error unpinned = frame_unpin(frame);
        if (error == QY_OK)
            error = unpinned;
    }
    return error;
}

/* What the message asks for; frame: 0 if none came with it. */
static enum qy_error serve(struct server *server, const struct message *message, qy_handle_t frame)
{
    enum qy_error error = virtio_blk_is_running(&server->blk) ? QY_OK : open(server);
    if (error != QY_OK)
        return error;
    switch (message->label & ~QY_LABEL_CAPABILITY) {
    case BLOCK_INFO:
        return QY_OK;
    case BLOCK_READ:
    case BLOCK_WRITE:
        return frame ? transfer(server, message, frame) : QY_INVALID_HANDLE;
    case BLOCK_FLUSH:
        return virtio_blk_request(&server->blk, VIRTIO_BLK_FLUSH, 0, 0, 0);
    default:
        return QY_INVALID_ARGUMENT;
    }
}

enum qy_error block_serve(const struct block_driver *driver)
{
    struct server server = {.driver = driver};
    struct message message;
    struct cap_state came;
    server.device = (struct virtio_device){read_register, write_register, wait, &server};
    enum qy_error error = receive_slot(QY_SLOT_NODE, driver->slot);
    if (error == QY_OK)
        error = endpoint_receive(driver->given[BLOCK_ENDPOINT], driver->reply, &message);
    while (error == QY_OK) {
        qy_handle_t frame = cap_info(QY_SLOT_NODE, driver->slot, &came) == QY_OK ? came.handle : 0;
        enum qy_error answer = serve(&server, &message, frame);
        if (frame) { /* the client may have taken it back by now */
            error = cap_delete(frame);
            if (error == QY_OK || error == QY_INVALID_HANDLE)
                error = receive_slot(QY_SLOT_NODE, driver->slot);
        }
        if (error == QY_OK)
            error = endpoint_reply_receive(driver->given[BLOCK_ENDPOINT], driver->reply, answer,
                                           server.blk.sectors, VIRTIO_SECTOR,
                                           server.blk.read_only | server.interrupts << 1, &message);
    }
    return error;
}
