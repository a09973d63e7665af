from django.db import migrations


class Migration(migrations.Migration):
    """Lists of contacts are not compressed: a thousand numbers shrink little, and each plan and claim would pay for it."""

    dependencies = [("campaigns", "0011_sop_content_reason")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE campaigns_sendtask ALTER COLUMN contact_ids SET STORAGE EXTERNAL",
            "ALTER TABLE campaigns_sendtask ALTER COLUMN contact_ids SET STORAGE EXTENDED",
        )
    ]
