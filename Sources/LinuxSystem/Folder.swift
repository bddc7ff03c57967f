import Glibc

/// Folders of the file system.
public enum Folder {
    /// The folder that a file is in, from its absolute path; empty for one in the root.
    public static func of(_ path: String) -> String {
        path.split(separator: "/").dropLast().reduce(into: "") { $0 += "/\($1)" }
    }

    /// Makes a file's folder, with mode 0755, if there is none. Its own folder has to be there.
    ///
    /// - Throws: ``SystemCallError`` naming the folder.
    public static func make(for path: String) throws(SystemCallError) {
        let folder = of(path)
        if !folder.isEmpty, access(folder, F_OK) != 0 { try systemCall("mkdir", folder) { mkdir(folder, 0o755) } }
    }

    /// The names in a folder, in no order, without those that begin with a dot; none when it cannot be read.
    public static func names(in folder: String) -> [String] {
        guard let stream = opendir(folder) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names
    }
}
