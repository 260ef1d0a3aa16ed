// Prints the SHA-256 of what Java's own gzip reader makes of a file. Run by `cargo xtask e2e`: java GzipDigest.java FILE
import java.io.BufferedInputStream;
import java.io.FileInputStream;
import java.io.InputStream;
import java.security.MessageDigest;
import java.util.zip.GZIPInputStream;

final class GzipDigest {
    private GzipDigest() {}

    public static void main(String[] arguments) throws Exception {
        MessageDigest hash = MessageDigest.getInstance("SHA-256");
        byte[] buffer = new byte[1 << 16];
        try (InputStream in = new GZIPInputStream(new BufferedInputStream(new FileInputStream(arguments[0])), 1 << 16)) {
            for (int count = in.read(buffer); count >= 0; count = in.read(buffer)) {
                hash.update(buffer, 0, count);
            }
        }
        StringBuilder hex = new StringBuilder();
        for (byte value : hash.digest()) {
            hex.append(String.format("%02x", value));
        }
        System.out.println(hex);
    }
}
