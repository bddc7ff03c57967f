import Glibc
import LinuxSystem

/// Held by the one command that builds, changes or removes a lab.
struct LabLock: ~Copyable {
    private let descriptor: OwnedDescriptor
    private let path: String

    /// - Throws: ``LabError`` when another command holds it.
    init(_ directory: LabDirectory) throws {
        try LabDirectory.make(LabDirectory.parent)
        let path = directory.lockPath
        let descriptor = try OwnedDescriptor(path: path, flags: O_RDWR | O_CREAT, mode: 0o600)
        let busy = LabError(
            "another command is at work on the lab \(directory.lab)", remedy: "Wait for it, or stop it first.")
        guard flock(descriptor.rawValue, LOCK_EX | LOCK_NB) == 0 else { throw busy }
        // The holder before us may have deleted the file between our open and our lock.
        var ours = stat()
        var named = stat()
        guard fstat(descriptor.rawValue, &ours) == 0, stat(path, &named) == 0, ours.st_ino == named.st_ino else {
            throw busy
        }
        self.path = path
        self.descriptor = descriptor
    }

    /// Deletes the lock's file, while it is held, and its directory when no other lab uses it.
    borrowing func deleteFile() {
        unlink(path)
        rmdir(LabDirectory.parent)
    }
}
