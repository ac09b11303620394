"""What every room needs: errors, files, processes, secrets, text, reachability of the Hub."""
